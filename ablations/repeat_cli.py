"""`repeat`: runs of a written report, trained again by the code that is here, and held to the report to the bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ablations import options, terminal
from ablations.executors.layout import measure_if_worth
from ablations.exit_codes import EXIT_FAILED
from ablations.options import AsJson, Jobs, Out, told_when_stopped
from ablations.planner import Plan, plan
from ablations.run_options import run_options
from ablations.sequential import at_look, with_seeds
from ablations.sweep import sweep
from ablations.views import print_json
from core.errors import UserError
from core.result import code_digest, environment
from core.store import Store
from reports.provenance import CellRecord, Record, read_record, run_digests
from reports.repeats import Comparison, Repeats, add_repeats, best_comparison, once_an_arm, read_repeats


def repeat(
    out: Out = Path(options.DEFAULT_OUT),
    store: Annotated[Path, typer.Option("--store", help="Folder of the new runs; not the report's own.")] = Path(
        "again"
    ),
    runs: Annotated[
        int | None, typer.Option("--runs", min=1, help="No more than so many.", show_default="one of every arm")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option("--data", help="Where the report's images are now, in place of its own --data.")
    ] = None,
    evaluation: Annotated[
        list[str] | None, typer.Option("--eval", help="Where what it was judged on is now, in place of its own --eval.")
    ] = None,
    jobs: Jobs = None,
    as_json: AsJson = False,
) -> None:
    """Train some runs of the report under --out again: does the code that is here give the same numbers, to the bit?

    What came of it is kept beside the report, in repeats.json: `report --check` then knows that runs of other code
    hold. On other hardware, with another number of threads or other versions of the libraries the last bits differ for
    no fault of the code: repeat there with code that the report is known to hold for, and later code is held to that.
    """
    record, console = read_record(out), terminal.stderr()
    wanted = once_an_arm(record, runs)
    if not wanted:
        raise UserError(f"{out}: the report has no run that is done and not tuned: there is nothing to repeat")
    place = Store(store)
    place.check_writable()
    given = run_options(record.command, str(out))
    given["data"], given["evaluation"] = data or given["data"], evaluation or given["evaluation"]
    planned = _planned(given, out, wanted, place)
    _refuse_originals(wanted, place)
    pending = planned.pending(retry_failed=True)
    terminal.say(console, f"{len(wanted)} runs to repeat, {len(wanted) - len(pending)} of them done")
    with told_when_stopped(console, "repeat the command"):
        measure_if_worth(planned.seconds(retry_failed=True), jobs, planned.baseline.runtime.device, console.print)
        sweep(planned, place, console, jobs=jobs, retry_failed=True, fail_fast=False)
    found = _kept(record, out, wanted, place, planned)
    if as_json:
        print_json(_facts(found, len(wanted)))
    else:
        _tell(terminal.stdout(), found, len(wanted), record)
    if len(found.equal) < len(wanted):
        raise typer.Exit(EXIT_FAILED)


def _planned(given: Mapping[str, Any], out: Path, wanted: Sequence[CellRecord], store: Store) -> Plan:
    """The plan of the wanted runs alone, from the options that the report was made with.

    Raises:
        UserError: the command cannot be used here, or its data, weights or fonts are not the report's.
    """
    chosen = options.choose(
        given["studies"], given["preset"], store.root, seeds=given["seeds"], data=given["data"],
        evaluation=given["evaluation"], sets=given["sets"], device=given["device"], strict=given["strict"],
        control=given["control"], until_resolved=given["until_resolved"],
    )  # fmt: skip
    request = chosen.request
    if given["until_resolved"]:
        request = with_seeds(request, at_look(request, max(request.preset.looks)))
    whole = plan(request, store, digests=True)
    here = {run.key: run for run in whole.runs}
    if others := [cell.name for cell in wanted if cell.key not in here]:
        raise UserError(
            f"{out}: {len(others)} of the {len(wanted)} runs to repeat have other keys here, e.g. {others[0]}: they "
            "read other images (--data, --eval), weights or fonts (DOCABLATE_FONTS), or have settings of another "
            "version"
        )
    return replace(whole, runs=tuple(here[str(cell.key)] for cell in wanted))


def _refuse_originals(wanted: Sequence[CellRecord], store: Store) -> None:
    """Raises `UserError` where the store has the report's own runs, which would be held to themselves.

    A result tells its times as well, so that no two runs have the same one.
    """
    for cell in wanted:
        if cell.result is not None and run_digests(str(cell.key), store)["result"] == cell.result:
            raise UserError(f"--store: '{store.root}' has the report's own runs ({cell.name}): take another")


def _kept(record: Record, out: Path, wanted: Sequence[CellRecord], store: Store, planned: Plan) -> Comparison:
    """Write down what the repeated runs gave; how it compares."""
    scores = {str(cell.key): run_digests(str(cell.key), store)["scores"] for cell in wanted}
    made = {
        key: digest for key, digest in scores.items()
        if digest is not None and store.state(key) == "done" and _by_this_code(store, key)
    }  # fmt: skip
    threads = sorted({int(store.result(key)["environment"]["threads"]) for key in made})
    new = Repeats(code=code_digest(), hardware=_machine(planned.baseline.runtime.device, threads), scores=made)
    if made:
        add_repeats(out, new)
    return best_comparison(record, new, read_repeats(out))


def _machine(device: str, threads: Sequence[int]) -> str:
    """What bits are equal on: the processor, and the threads of a run where they are not one."""
    hardware = str(environment(device, 1)["hardware"])
    return hardware if set(threads) <= {1} else f"{hardware}, {' and '.join(map(str, threads))} threads"


def _by_this_code(store: Store, key: str) -> bool:
    return bool(store.result(key)["environment"]["code"] == code_digest())


def _facts(found: Comparison, wanted: int) -> dict[str, Any]:
    equal, differing = ([cell.name for cell in cells] for cells in (found.equal, found.differing))
    arms = [{"study": study, "arm": arm, "tuned": tuned} for study, arm, tuned in found.unrepeated]
    return {
        "wanted": wanted, "held_to": found.base or "the report", "equal": equal, "differing": differing,
        "not_repeated": arms,
    }  # fmt: skip


def _tell(console: Console, found: Comparison, wanted: int, record: Record) -> None:
    for cell in found.differing:
        terminal.say(console, f"differs: {cell.name}")
    whose = "the report's"
    if found.base is not None:
        whose = f"those of code {found.base} on this processor, which gave the report's numbers on its own"
    terminal.say(console, f"{len(found.equal)} of {wanted} runs are equal to the bit to {whose}")
    if found.differing and not found.equal:
        code = next((cell.code for cell in record.cells if cell.code), record.code)
        terminal.say(
            console,
            "If the report is of another processor (index.md names it), that says nothing of the code. What these runs "
            f"gave is kept: `repeat` with the report's code ({code}) or other that it holds for, here, and again with "
            "this code, and the two are held to one another.",
        )
    if done := wanted - len(found.equal) - len(found.differing):
        terminal.say(console, f"{done} could not be repeated: see `status`, or take another --store")
    if found.unrepeated and not found.differing:
        arms = ", ".join(f"{study}/{arm}" for study, arm, _ in found.unrepeated)
        terminal.say(console, f"not repeated: {arms}")
