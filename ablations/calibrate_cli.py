"""`calibrate`: how often the rule of verdicts would be wrong, and how often right, with what the store's runs show."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ablations import options, terminal
from ablations.options import AsJson, Data, Eval, Out, PresetName, Sets, StorePath, Strict, Studies
from ablations.planner import plan
from ablations.registry import load_studies
from ablations.views import print_json
from ablations.words import refuse
from ablations.written_command import written
from core.errors import UserError
from core.store import write_atomic
from reports.claims import Finding, Study
from reports.folders import check_page, make_folders
from reports.provenance import read_record

if TYPE_CHECKING:
    from reports.noise import Noise


def calibrate(
    studies: Studies, preset: PresetName = None,
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", help=options.SEEDS_HELP, show_default="the last look's"),
    ] = None,
    data: Data = None, evaluation: Eval = None, sets: Sets = None,
    store: StorePath = Path(options.DEFAULT_STORE), strict: Strict = False,
    reports: Annotated[int, typer.Option("--reports", min=1, help="Simulated reports for each effect.")] = 1000,
    replications: Annotated[
        int, typer.Option("--coverage", min=0, help="Simulated comparisons for the coverage of intervals; 0: none.")
    ] = 0,
    of_report: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="REPORT", show_default=False,
            help="Variances and looks of a written report's folder, in place of a store's runs.",
        ),
    ] = None,
    out: Out = Path(options.DEFAULT_OUT), as_json: AsJson = False,
) -> None:  # fmt: skip
    """Simulate whole reports with the store's measured variances: false verdicts, power, coverage of intervals."""
    from reports.calibration import calibrate as simulate
    from reports.calibration_page import TITLE, calibration_page
    from reports.coverage import SETTINGS, Coverage, Setting, coverage
    from reports.facts import calibration_facts

    console = terminal.stderr()
    check_page(out / "calibration.md", TITLE)
    if of_report is None:
        chosen = options.choose(
            studies, preset, store, seeds=seeds, data=data, evaluation=evaluation, sets=sets, strict=strict
        )
        source = _store_source(chosen, seeds is not None, out, console)
    else:
        given = {
            "--preset": preset, "--seeds": seeds, "--data": data, "--eval": evaluation, "--set": sets,
            "--store": store != Path(options.DEFAULT_STORE), "--strict": strict,
        }  # fmt: skip
        refuse(given, "--from is of a report as it was written, not of a store")
        source = _report_source(studies, of_report, out)
    console.print(f"simulating {reports} reports for each effect")
    found = simulate(source.noises, source.looks, reports)
    covered: list[tuple[Setting, Coverage]] = []
    for setting in SETTINGS if replications else ():
        console.print(f"simulating {replications} comparisons")
        covered.append((setting, coverage(setting, replications)))
    command = f"{source.command} --reports {reports}" + (f" --coverage {replications}" if replications else "")
    page = calibration_page(found, source.claims, source.looks, covered, command, source.told)
    write_atomic(out / "calibration.md", page.encode())
    if as_json:
        print_json({**calibration_facts(found, covered), "page": out / "calibration.md"})
    else:
        print(page)


@dataclass(frozen=True)
class _Source:
    """Where variances are from: `command` asks for it again, `told` names it on the page."""

    noises: Mapping[str, Sequence[Noise]]
    claims: Mapping[str, Finding]
    looks: Mapping[int, float]
    command: str
    told: str


def _store_source(chosen: options.Chosen, seeds_given: bool, out: Path, console: Console) -> _Source:
    from reports.frame import build_frame
    from reports.noise import noises, of_runs
    from reports.replicates import Replicates

    request = chosen.request
    if not request.studies:
        raise UserError("a calibration needs studies, not a single run")
    if not (looks := request.preset.looks):
        raise UserError(f"preset {request.preset.preset} declares no looks, so it never decides anything: take another")
    if not seeds_given:  # all that may be there
        request = replace(request, seeds=tuple(range(max(looks))))
    claims = _claims(request.studies)
    make_folders(out)  # before the simulation, which would be lost
    planned = plan(request, chosen.store)
    frame = build_frame(planned.cells, chosen.store)
    unusable = frame[frame["state"].isin(["damaged", "newer"])].drop_duplicates("key")
    for state, reason in zip(unusable["state"], unusable["reason"], strict=True):
        terminal.say(console, f"left out, {state}: {reason}")
    found = noises(request.studies, frame, of_runs(Replicates(chosen.store.scores)))
    return _Source(found, claims, looks, written("calibrate", chosen.again, planned.baseline), "the store")


def _report_source(names: Sequence[str], folder: Path, out: Path) -> _Source:
    """The studies named of a written report; `all` are those of its own that the package declares.

    One that is named, and that the report does not have, is refused, also beside `all`.
    """
    from reports.noise import noises, of_report
    from reports.summary import read_summary
    from reports.written_frame import read_frame

    record = read_record(folder)
    named = {one.study for one in load_studies([name for name in names if name != "all"])}
    studies = [one for one in load_studies(list(names)) if one.study in {*named, *record.studies}]
    if not record.looks:
        raise UserError(f"{folder} declares no looks, so it never decided anything: take another report")
    claims = _claims(studies)
    make_folders(out)
    frame = read_frame(folder, record, studies)
    found = noises(studies, frame, of_report(read_summary(folder)))
    command = shlex.join(["python", "-m", "ablations", "calibrate", *names, "--from", str(folder)])
    return _Source(found, claims, record.looks, command, f"the report {folder} (runs {record.store_digest[:12]})")


def _claims(studies: Sequence[Study]) -> dict[str, Finding]:
    claims = {name: study.finding(name) for study in studies for name in study.tested}
    if not claims:
        raise UserError("a calibration needs a claim to decide: none of these studies tests a claim")
    return claims
