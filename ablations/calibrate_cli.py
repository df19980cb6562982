"""`calibrate`: how often the rule of verdicts would be wrong, and how often right, with what the store's runs show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ablations import options, terminal
from ablations.options import AsJson, Data, Eval, Out, PresetName, Sets, StorePath, Strict, Studies
from ablations.planner import plan
from ablations.views import print_json
from ablations.written_command import written
from core.errors import UserError
from core.store import write_atomic
from reports.folders import make_folders


def calibrate(
    studies: Studies, preset: PresetName = None,
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", help="How many seeds, or which: '3' or '0,1,7'.", show_default="the last look's"),
    ] = None,
    data: Data = None, evaluation: Eval = None, sets: Sets = None,
    store: StorePath = Path(options.DEFAULT_STORE), strict: Strict = False,
    reports: Annotated[int, typer.Option("--reports", min=1, help="Simulated reports for each effect.")] = 1000,
    replications: Annotated[
        int, typer.Option("--coverage", min=0, help="Simulated comparisons for the coverage of intervals; 0: none.")
    ] = 0,
    out: Out = Path(options.DEFAULT_OUT), as_json: AsJson = False,
) -> None:  # fmt: skip
    """Simulate whole reports with the store's measured variances: false verdicts, power, coverage of intervals."""
    from reports.calibration import calibrate as simulate
    from reports.calibration import noises
    from reports.calibration_page import calibration_page
    from reports.coverage import SETTINGS, Coverage, Setting, coverage
    from reports.facts import calibration_facts
    from reports.frame import build_frame
    from reports.replicates import Replicates

    chosen = options.choose(
        studies, preset, store, seeds=seeds, data=data, evaluation=evaluation, sets=sets, strict=strict
    )
    request = chosen.request
    if not request.studies:
        raise UserError("a calibration needs studies, not a single run")
    if not (looks := request.preset.looks):
        raise UserError(f"preset {request.preset.preset} declares no looks, so it never decides anything: take another")
    if seeds is None:  # all that may be there
        request = replace(request, seeds=tuple(range(max(looks))))
    claims = {name: study.finding(name) for study in request.studies for name in study.tested}
    if not claims:
        raise UserError("a calibration needs a claim to decide: none of these studies tests a claim")
    make_folders(out)  # before the simulation, which would be lost
    planned = plan(request, chosen.store)
    frame = build_frame(planned.cells, chosen.store)
    console = terminal.stderr()
    unusable = frame[frame["state"].isin(["damaged", "newer"])].drop_duplicates("key")
    for state, reason in zip(unusable["state"], unusable["reason"], strict=True):
        console.print(f"left out, {state}: {reason}", soft_wrap=True)
    console.print(f"simulating {reports} reports for each effect")
    found = simulate(noises(request.studies, frame, Replicates(chosen.store.scores)), looks, reports)
    covered: list[tuple[Setting, Coverage]] = []
    for setting in SETTINGS if replications else ():
        console.print(f"simulating {replications} comparisons")
        covered.append((setting, coverage(setting, replications)))
    words = f"{chosen.again} --reports {reports}" + (f" --coverage {replications}" if replications else "")
    command = written("calibrate", words, planned.baseline)
    page = calibration_page(found, claims, looks, covered, command)
    write_atomic(out / "calibration.md", page.encode())
    if as_json:
        print_json({**calibration_facts(found, covered), "page": out / "calibration.md"})
    else:
        print(page)
