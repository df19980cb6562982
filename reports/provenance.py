"""`report.json`: what a report was made of, by digests; `reports.provenance_check` tells whether it still holds."""

from __future__ import annotations

import hashlib
import json
import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import UserError
from core.result import code_digest
from core.store import Store, file_digest, write_atomic
from reports.cells import Cell
from reports.claims import Study
from reports.control import CONTROL, control_study
from reports.folders import RECORD, check_file
from reports.runs import Read, read_run, read_runs

SCHEMA = 1
Stamps = dict[str, tuple[int, int]]


class CellRecord(BaseModel):
    """A cell as the report showed it. `result` and `scores` are SHA-256 of a done run's files, in hex digits."""

    model_config = ConfigDict(frozen=True)
    study: str
    arm: str
    seed: int
    key: str | None
    state: str
    tuned: bool = False
    result: str | None = None
    scores: str | None = None
    code: str | None = None
    inputs: dict[str, str] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.study}/{self.arm}{' tuned' if self.tuned else ''} seed {self.seed} ({self.key})"


class Record(BaseModel):
    """The content of report.json.

    Args:
        looks: numbers of seeds at which a verdict may be reached, each with its share of alpha.
        code: digest of the code that was there when the report was written.
        studies: digest of every study's declaration, by name, the control's among them.
        earlier: by study the digests of other declarations of it, in reports of these runs that this one took the
            place of: claims are to be fixed before results, and these may not have been.
        files: SHA-256 of every file of the report but this one, by its path under the report's folder.
        store_digest: SHA-256 over all the rest but `files`: two reports with the same one are of the same evidence.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)
    version: int = Field(SCHEMA, alias="schema")
    preset: str
    command: str
    looks: dict[int, float]
    code: str
    studies: dict[str, str]
    cells: tuple[CellRecord, ...]
    earlier: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    store_digest: str = ""
    files: dict[str, str] = Field(default_factory=dict)

    def digest(self) -> str:
        """What `store_digest` is while nobody has edited the record."""
        canonical = json.dumps(self.as_json(exclude={"store_digest", "files"}), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def as_json(self, exclude: set[str] | None = None) -> dict[str, Any]:
        # Records of before have no `earlier`, and digests without it.
        left_out = (exclude or set()) | (set() if self.earlier else {"earlier"})
        return self.model_dump(mode="json", by_alias=True, exclude=left_out)


def record_of(
    studies: Sequence[Study], cells: Sequence[Cell], store: Store, *, preset: str, command: str,
    looks: Mapping[int, float], earlier: Mapping[str, Sequence[str]] | None = None,
) -> Record:  # fmt: skip
    """The record of a report of `cells`, before any of its files is written; `earlier` is of `earlier_claims`."""
    declared = [*studies, *([control_study()] if any(cell.study == CONTROL for cell in cells) else [])]
    runs = {key: _run(key, read, store) for key, read in read_runs(cells, store).items()}
    record = Record(
        preset=preset, command=command, looks=dict(looks), code=code_digest(),
        studies={study.study: study.digest for study in declared},
        earlier={name: tuple(digests) for name, digests in (earlier or {}).items()},
        cells=tuple(
            CellRecord(
                study=cell.study, arm=cell.arm, seed=cell.seed, key=cell.key, tuned=cell.tuned,
                **({"state": "unavailable"} if cell.key is None else runs[cell.key]),
            )
            for cell in cells
        ),
    )  # fmt: skip
    return record.model_copy(update={"store_digest": record.digest()})


def _run(key: str, read: Read, store: Store) -> dict[str, Any]:
    if read.result is None:
        return {"state": read.state}
    environment, inputs = read.result.get("environment"), read.result.get("inputs")
    return {
        "state": read.state, **run_digests(key, store),
        "code": environment.get("code") if isinstance(environment, Mapping) else None,
        "inputs": dict(inputs) if isinstance(inputs, Mapping) else {},
    }  # fmt: skip


def run_digests(key: str, store: Store) -> dict[str, str | None]:
    """SHA-256 of a run's result.json and scores.npz; None for a file that cannot be read."""
    found: dict[str, str | None] = {}
    for name, file in (("result", "result.json"), ("scores", "scores.npz")):
        try:
            found[name] = store.digest(key, file)
        except (OSError, UserError):
            found[name] = None
    return found


@dataclass(frozen=True)
class Evidence:
    """Done runs as a page without a record tells of them.

    Attributes:
        runs: how many.
        codes: digests of the code that made them, the most frequent first.
        digest: SHA-256 over their keys and the digests of their scores: runs that are trained again and come out equal
            to the bit have the same one, whatever time they took.
    """

    runs: int
    codes: tuple[str, ...]
    digest: str


def evidence_of(cells: Iterable[Cell], store: Store) -> Evidence:
    """The done runs of cells, each once, whatever the order of the cells."""
    keys = sorted({cell.key for cell in cells if cell.key is not None})
    done = {key: run for key in keys if (run := _run(key, read_run(key, store), store))["state"] == "done"}
    codes = Counter(str(run["code"]) for run in done.values())
    canonical = json.dumps({key: run["scores"] for key, run in done.items()}, sort_keys=True)
    order = tuple(sorted(codes, key=lambda code: (-codes[code], code)))
    return Evidence(len(done), order, hashlib.sha256(canonical.encode()).hexdigest())


def stamps(out: Path) -> Stamps:
    """The files of a report's folder, with what changes whenever one is written anew: inode and time of change in ns.

    No deeper than a report goes: with `--out .` there may be a store, that others write to, below.
    """
    found: Stamps = {}
    for path in (*out.glob("*"), *out.glob("*/*")):
        try:
            facts = path.stat()
        except OSError:
            continue
        if stat.S_ISREG(facts.st_mode):
            found[path.relative_to(out).as_posix()] = (facts.st_ino, facts.st_mtime_ns)
    return found


def write_record(record: Record, out: Path, before: Stamps) -> None:
    """Write report.json beside the files of `out` that were written since `before` was taken.

    What earlier reports left in the folder is not this report's and is not listed.
    """
    written = [name for name, stamp in stamps(out).items() if before.get(name) != stamp and name != RECORD]
    files = {name: file_digest(out / name) for name in sorted(written)}
    text = json.dumps(record.model_copy(update={"files": files}).as_json(), indent=1)
    write_atomic(out / RECORD, text.encode())


def earlier_claims(out: Path, studies: Iterable[Study], cells: Iterable[Cell]) -> dict[str, tuple[str, ...]]:
    """`Record.earlier` of a report of `cells` that takes the place of the one under `out`, if there is one."""
    try:
        before = read_record(out)
    except UserError:
        return {}
    read = {(cell.study, cell.key) for cell in cells}
    again = {cell.study for cell in before.cells if cell.state == "done" and (cell.study, cell.key) in read}
    found = {}
    for study in studies:
        name = study.study
        known = dict.fromkeys([*before.earlier.get(name, ()), *filter(None, [before.studies.get(name)])])
        if name in again and (others := tuple(digest for digest in known if digest != study.digest)):
            found[name] = others
    return found


def read_record(out: Path) -> Record:
    """The record of the report under `out`; `UserError` where there is none that can be read."""
    path = Path(out) / RECORD
    check_file(path)
    try:
        record = Record.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}: name the folder of a report with --out") from None
    except ValidationError as error:
        first = error.errors()[0]
        reason = ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))  # bad JSON has no place
        raise UserError(f"{path} is not a report's record ({reason}): write the report again") from None
    if record.version != SCHEMA:
        raise UserError(f"{path} has schema {record.version}, this version reads {SCHEMA}: write the report again")
    return record
