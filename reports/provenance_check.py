"""Whether a written report still holds: its files, claims, runs, code and data against what is there now."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from core.config import RunConfig
from core.errors import UserError, first_line
from core.inputs import fingerprints
from core.result import code_digest
from core.store import Store, file_digest
from reports.cells import LEFT_OUT
from reports.claims import Study
from reports.folders import RECORD
from reports.provenance import CellRecord, Record, read_record, run_digests, stamps
from reports.repeats import NAME as REPEATS
from reports.repeats import best_comparison, read_repeats
from reports.runs import read_run

Resolve = Callable[[RunConfig], Mapping[str, str]]
OTHER_CODE, OTHER_DATA = "stale: other code", "stale: other data"
_HELD_OUT = ("validation", "test", "shifted")
_BESIDE = (RECORD, REPEATS, "calibration.md")  # what is written to a report's folder beside it
_FOLDERS = ("", "figures", "tables")  # of a report: what else lies below may be a store, or another report
_NAMED = 6  # files in a note


@dataclass(frozen=True)
class Problem:
    """Something that no longer holds: its kind, counted in the summary, and one line."""

    kind: str
    text: str


@dataclass(frozen=True)
class Check:
    """What `verify` found: problems, what could not be checked and why, and how many files, studies and runs were.

    `notes` say why something that is not as it was is no problem.
    """

    problems: tuple[Problem, ...]
    unchecked: tuple[str, ...]
    counts: dict[str, int]
    notes: tuple[str, ...] = ()


def verify(out: Path, store: Store | None, declared: Mapping[str, Study], *, resolve: Resolve = fingerprints) -> Check:
    """Check the report under `out`.

    Args:
        store: where its runs are; None where that is not at hand, which leaves runs unchecked.
        declared: the present declarations by study; the claims of others stay unchecked.
        resolve: the present fingerprints of what a configuration reads.

    Raises:
        UserError: there is no report, or its record or its repeats cannot be read.
    """
    record = read_record(out)
    distinct: dict[str, CellRecord] = {}  # a run that several studies share is told once, in its first place
    for cell in record.cells:
        if cell.key is not None:
            distinct.setdefault(cell.key, cell)
    runs = list(distinct.values())
    problems = [*_files(record, Path(out)), *_claims(record, declared)]
    unchecked = [
        f"the claims of '{name}', whose declaration is not here: name its YAML file"
        for name in record.studies if name not in declared
    ]  # fmt: skip
    if store is None:
        unchecked.append("runs, as the store is not here: name its folder with --store")
    else:
        problems += [problem for run in runs for problem in _run(run, store)]
    done = [run for run in runs if run.state == "done"]
    stale = list(_code(done))
    holds, notes = _repeated(record, out) if stale else (False, ())
    problems += [] if holds else stale
    problems += _differing_data(record, declared)
    if store is not None:
        changed, unresolved = _present_data(done, store, resolve)
        problems += changed
        unchecked += unresolved
    counts = {
        "files": len(record.files), "studies": sum(name in declared for name in record.studies),
        "runs": len(runs) if store is not None else 0,
    }  # fmt: skip
    return Check(tuple(problems), tuple(unchecked), counts, (*notes, *_others(record, Path(out))))


def _files(record: Record, out: Path) -> Iterator[Problem]:
    if record.digest() != record.store_digest:
        yield Problem("edited file", f"{RECORD} was changed since the report was written")
    for name, digest in record.files.items():
        # The record may come from elsewhere: it does not make us read what is outside of the report, or never ends.
        inside = not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
        try:
            now = file_digest(out / name) if inside and os.path.isfile(out / name) else None
        except OSError:
            now = None
        if now is None:
            yield Problem("missing file", f"{name} is not there any more")
            continue
        if now != digest:
            yield Problem("edited file", f"{name} was changed since the report was written")


def _others(record: Record, out: Path) -> Iterator[str]:
    """A note on files that an earlier report left in the folder: they look like pages of this one."""
    there = (PurePosixPath(name) for name in stamps(out) if name not in record.files and name not in _BESIDE)
    left = sorted(str(path) for path in there if path.parent.name in _FOLDERS and not path.name.startswith("."))
    if left:
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        yield (
            f"{len(left)} files in the folder are not of this report, but perhaps of an earlier one: "
            f"{', '.join(left[:_NAMED])}{more}"
        )


def _claims(record: Record, declared: Mapping[str, Study]) -> Iterator[Problem]:
    for name, digest in record.studies.items():
        if name in declared and (now := declared[name].digest) != digest:
            text = f"study {name} was declared as {digest} when it was judged, and is {now} now"
            yield Problem("changed claim", text)


def _run(run: CellRecord, store: Store) -> Iterator[Problem]:
    """What became of a run in the store."""
    assert run.key is not None
    now = read_run(run.key, store)
    if run.state == LEFT_OUT and now.state == "missing":
        return
    if run.state != now.state:
        if now.state == "missing":
            yield Problem("missing run", f"{run.name} was {run.state}, and is not in the store")
        elif run.state == "done":
            yield Problem("changed run", f"{run.name} was done, and is {now.state} now: {now.reason}")
        else:
            yield Problem("out of date", f"{run.name} was {run.state} when the report was written, and is {now.state}")
    elif run.state == "done":
        digests = run_digests(run.key, store)
        for name, file in (("result", "result.json"), ("scores", "scores.npz")):
            if digests[name] != getattr(run, name):
                yield Problem("changed run", f"{file} of {run.name} is not the one that the report was written from")


def _code(done: Iterable[CellRecord]) -> Iterator[Problem]:
    for run in done:
        if run.code != code_digest():
            yield Problem(OTHER_CODE, f"{run.name} was made by code {run.code or 'unknown'}, this is {code_digest()}")


def _repeated(record: Record, out: Path) -> tuple[bool, tuple[str, ...]]:
    """Whether runs of other code hold all the same, as runs that were repeated by this code show; notes on that."""
    notes, known = [], read_repeats(out)
    for repeats in known:
        if repeats.code != code_digest():
            continue
        found = best_comparison(record, repeats, known)
        equal, tried = len(found.equal), len(found.equal) + len(found.differing)
        whose = "the report's" if found.base is None else f"those of code {found.base}, which gave the report's numbers"
        told = f"{equal} of {tried} runs that this code repeated are equal to the bit to {whose}"
        if found.holds:
            return True, (f"runs were made by other code; {told}, one of every arm at least ({repeats.hardware})",)
        without = ", ".join(f"{study}/{arm}" for study, arm, _ in found.unrepeated)
        notes.append(f"{told} ({repeats.hardware})" + (f"; not repeated: {without}" if without else ""))
    return False, tuple(notes)


def _differing_data(record: Record, declared: Mapping[str, Study]) -> Iterator[Problem]:
    """Runs of one study that read different data cannot be compared.

    Seeds of an arm agree in everything. Arms may differ in weights, teachers and pools, which studies vary, but not
    in what they are judged on, unless that is what an arm changes.
    """
    for study in record.studies:
        cells = [cell for cell in record.cells if cell.study == study and cell.state == "done"]
        arms: dict[str, list[CellRecord]] = {}
        for cell in cells:
            arms.setdefault(cell.arm, []).append(cell)
        for same in arms.values():
            yield from _disagreements(same, sorted({name for cell in same for name in cell.inputs}))
        varies = declared[study].arms if study in declared else {}
        own_eval = {name for name, arm in varies.items() if any(field.startswith("eval.") for field in arm.set)}
        yield from _disagreements([same[0] for name, same in arms.items() if name not in own_eval], _HELD_OUT)


def _disagreements(cells: Sequence[CellRecord], names: Iterable[str]) -> Iterator[Problem]:
    for name in names:
        for cell in cells[1:]:
            first, other = cells[0].inputs.get(name), cell.inputs.get(name)
            if first != other:
                yield Problem(OTHER_DATA, f"{cell.name} read {name} {other}, {cells[0].name} read {first}")


def _present_data(done: Iterable[CellRecord], store: Store, resolve: Resolve) -> tuple[list[Problem], list[str]]:
    """What the runs' configurations lead to now, against what they read."""
    problems: list[Problem] = []
    unresolved: dict[str, int] = {}
    for run in done:
        assert run.key is not None
        result = read_run(run.key, store).result
        if result is None:
            continue  # said before
        try:
            now = resolve(_config(result))
        except (UserError, ValueError) as error:
            reason = first_line(error)
            unresolved[reason] = unresolved.get(reason, 0) + 1
            continue
        for name, read in run.inputs.items():
            if now.get(name) != read:
                problems.append(Problem(OTHER_DATA, f"{run.name} read {name} {read}, there is {now.get(name)} now"))
    told = [f"the data of {count} runs, which cannot be found here: {reason}" for reason, count in unresolved.items()]
    return problems, told


def _config(result: Mapping[str, Any]) -> RunConfig:
    return RunConfig.model_validate(result.get("config"))
