"""`report`: the report of what is done, and the check of one that was written before."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ablations import options, terminal
from ablations.declarations import is_file
from ablations.exit_codes import EXIT_FAILED
from ablations.options import (
    Control,
    Data,
    Device,
    Eval,
    Html,
    Out,
    PresetName,
    Seeds,
    Sets,
    StorePath,
    Strict,
    UntilResolved,
)
from ablations.registry import load_study
from ablations.report_writer import write
from ablations.run_options import run_options
from ablations.views import print_json
from ablations.words import refuse
from core.errors import UserError
from core.store import Store
from reports.claims import Study
from reports.control import CONTROL, control_study
from reports.provenance import read_record
from reports.provenance_check import OTHER_CODE, OTHER_DATA, Check, verify

_COUNT_AS_DONE = ("changed run", OTHER_CODE)  # runs on other data do not: their keys are of its content
_LISTED = 8  # lines that are printed of problems of one kind


def report(
    studies: Annotated[
        list[str] | None,
        typer.Argument(metavar="STUDY...|all|FILE", help="As of `run`; with --check, YAML files of own studies."),
    ] = None,
    preset: PresetName = None, seeds: Seeds = None, data: Data = None, evaluation: Eval = None,
    sets: Sets = None, store: StorePath = Path(options.DEFAULT_STORE), device: Device = "cpu", strict: Strict = False,
    control: Control = True, deciding: options.Deciding = False, tuned: options.Tuned = False,
    until_resolved: UntilResolved = False,
    out: Out = Path(options.DEFAULT_OUT), html: Html = True,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: is the report under --out still true of --store?")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --check: print JSON.")] = False,
) -> None:  # fmt: skip
    """Write the report of what is done, with the same options as `run`; or --check one that was written."""
    if check:
        given = {
            "--preset": preset, "--seeds": seeds, "--data": data, "--eval": evaluation, "--set": sets,
            "--device": device != "cpu", "--strict": strict, "--no-control": not control, "--deciding": deciding,
            "--tuned": tuned, "--until-resolved": until_resolved, "--no-html": not html,
        }  # fmt: skip
        refuse(given, "--check is of a report as it was written")
        _check([name for name in studies or [] if name != "all"], store, out, as_json)
        return
    if as_json:
        raise UserError("--json is of --check: a report that is written has its verdicts in verdicts.json")
    chosen = options.choose(
        studies or [], preset, store, seeds=seeds, data=data, evaluation=evaluation, sets=sets, device=device,
        strict=strict, control=control, deciding=deciding, tuned=tuned, until_resolved=until_resolved,
    )  # fmt: skip
    if not chosen.request.studies:
        raise UserError("a report needs studies, not a single run: see `run-info`")
    if not store.is_dir():  # whose report would say "not run" of everything, in place of one that is there
        raise UserError(f"--store: '{store}' is no folder of runs: `run` makes it, --store names another")
    write(chosen, out, terminal.stderr(), html=html)


def _check(names: Iterable[str], store: Path, out: Path, as_json: bool) -> None:
    """Verify a written report; says what no longer holds, and ends with code 1 if anything does."""
    record = read_record(out)
    own = _own_studies(record.command, out)
    declared = {study.study: study for study in (load_study(name).study for name in dict.fromkeys([*names, *own]))}
    for name in record.studies:
        if name not in declared and (study := _present(name)) is not None:
            declared[name] = study
    found = verify(out, Store(store) if store.is_dir() else None, declared)
    if as_json:
        print_json({"report": out, "holds": not found.problems, **asdict(found)})
    else:
        _print_check(found, out, f"{record.command} --store {shlex.quote(str(store))} --out {shlex.quote(str(out))}")
    if found.problems:
        raise typer.Exit(EXIT_FAILED)


def _own_studies(command: str, out: Path) -> list[str]:
    """The files of the user's own studies that are here; they were given to `run`, and its command names them."""
    try:
        names = run_options(command, str(out), lenient=True)["studies"]
    except UserError:  # the record was edited
        return []
    return [name for name in names if is_file(name) and os.path.isfile(name)]


def _present(name: str) -> Study | None:
    """The declaration of that name in the package, if there is one."""
    if name == CONTROL:
        return control_study()
    try:
        return load_study(name).study
    except UserError:
        return None


def _print_check(check: Check, out: Path, command: str) -> None:
    say = partial(terminal.say, terminal.stdout())
    kinds = Counter(problem.kind for problem in check.problems)
    for kind, count in kinds.items():
        # Whoever changes a line of code has a problem with every run.
        of_kind = [problem.text for problem in check.problems if problem.kind == kind]
        for text in of_kind if count <= _LISTED else of_kind[: _LISTED - 1]:
            say(f"{kind}: {text}")
        if count > _LISTED:
            say(f"{kind}: {count - _LISTED + 1} more; --json names them all")
    for text in check.notes:
        say(f"note: {text}")
    for text in check.unchecked:
        say(f"not checked: {text}")
    say(f"{out}: {', '.join(f'{count} {what}' for what, count in check.counts.items())} checked")
    if not check.problems:
        rest = "what could be checked" if check.unchecked else "all"
        say(f"{rest} is as it was when the report was written")
        return
    say(f"{len(check.problems)} problems: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}")
    if any(kind.startswith(_COUNT_AS_DONE) for kind in kinds):
        say("runs that are changed or of other code count as done: train them anew in another --store, or move them "
            "away first")  # fmt: skip
    if OTHER_DATA in kinds:
        say("runs whose data is another now count as new: the command below trains on what is there now")
    if OTHER_CODE in kinds:
        say("`repeat` trains one run of every arm again, to tell whether this code gives the same numbers")
    say(f"what is missing is trained, and the report is written again, by: {command}")
