"""`store check`: every file of a store held to what was written there."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ablations import tuning_journal, tuning_store
from ablations.measured_steps import STEP_COST, STEP_COST_SCHEMA
from core import record
from core.data.rendering import Progress
from core.errors import UserError
from core.integrity import DAMAGED_FOLDER, Examined, examine
from core.record import Damaged, Newer
from core.store import Store, leases_folder
from reports.head_turns import read_head_cost

_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}")  # as `tempfile` names them, which `core.store.write_atomic` uses


@dataclass(frozen=True)
class Problem:
    """Something that is not as it was written, or nobody knows whether it is.

    `kind` is ``damaged``, ``newer`` or ``unreadable``, `remedy` what makes it good.
    """

    kind: str
    path: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class Checked:
    """What `check_store` found.

    Args:
        runs: how many are done, failed, unfinished, damaged, newer.
        old_schema, other_code: of the runs that are done, those without a checksum, and made by other code than this.
        set_aside, temporary: entries that `store gc` removes.
        others: other files that were checked.
    """

    runs: dict[str, int]
    old_schema: int
    other_code: int
    set_aside: int
    temporary: int
    others: int
    problems: tuple[Problem, ...]


def check_store(store: Store, progress: Progress | None = None) -> Checked:
    """Check all runs, timings of the head and of steps, searches and the Optuna journal. Nothing is written.

    Raises:
        UserError: there is no such folder.
    """
    if not store.root.is_dir():
        raise UserError(f"--store: '{store.root}' is not a folder")
    keys, problems = store.run_keys(), list[Problem]()
    runs: Counter[str] = Counter(dict.fromkeys(("done", "failed", "unfinished", "damaged", "newer"), 0))
    old = other = 0
    for number, key in enumerate(keys, 1):
        found = examine(store, key, digests=True)
        runs["unfinished" if found.condition == "new" else found.condition] += 1
        problems += _of_run(store, key, found)
        if found.result is not None:
            old += "checksum" not in found.result
            other += not found.of_this_code
        if progress:
            progress("checking runs", number, len(keys))
    others = list(_others(store))
    problems += [problem for problem in others if problem is not None]
    aside = [path for path in entries(store.root / DAMAGED_FOLDER) if path.suffix != ".txt"]
    return Checked(
        dict(runs), old, other, len(aside), sum(1 for _ in temporary_files(store)), len(others), tuple(problems)
    )


def temporary_files(store: Store) -> Iterator[Path]:
    """What a writer that was killed has left, in the store and one level below."""
    searched = {tuning_store.FOLDER, *store.run_keys()}
    for path in entries(store.root):
        if path.name == DAMAGED_FOLDER or path == leases_folder(store.root):  # of processes at work
            continue
        if _TEMPORARY.fullmatch(path.name):
            yield path
        elif path.name in searched:
            yield from (inside for inside in entries(path) if _TEMPORARY.fullmatch(inside.name))


def entries(folder: Path) -> list[Path]:
    """What is in a folder, sorted; nothing where it is not there or cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _of_run(store: Store, key: str, found: Examined) -> Iterator[Problem]:
    if found.condition == "damaged":
        yield Problem("damaged", str(store.path(key)), found.reason, "`run` of its study trains it again")
    elif found.condition == "newer":
        yield Problem("newer", str(store.path(key)), found.reason, "read it with a newer version")
    elif found.condition == "new" and (reason := why_hidden(store, key)):
        yield Problem("unreadable", str(store.path(key)), reason, "have its owner let you read it")
    elif found.result is not None and "files" in found.result:
        for name in ("config.yaml", "metrics.jsonl"):
            try:
                if name in found.result["files"]:
                    store.verify(key, (name,), digests=True)
            except Damaged as damaged:
                yield Problem("damaged", str(damaged.path), str(damaged), "`run` of its study makes it again")
            except (UserError, OSError) as error:
                yield Problem("unreadable", str(store.path(key, name)), str(error), "let it be read, and check again")


def why_hidden(store: Store, key: str) -> str:
    """Why a run that looks unfinished may not be so: its folder is another user's; nothing where it can be read."""
    folder = store.path(key)
    hidden = folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK)
    return f"{folder} may not be read: what is in it is not known" if hidden else ""


def _others(store: Store) -> Iterator[Problem | None]:
    """A problem, or None, for every file of the store beside its runs."""
    again = "`plan --classes` measures them again"
    for read in (lambda: read_head_cost(store), lambda: record.read(store.root / STEP_COST, STEP_COST_SCHEMA, again)):
        try:
            read()
            yield None
        except FileNotFoundError:
            pass
        except UserError as error:
            yield _of_record(error)
    folder = store.root / tuning_store.FOLDER
    try:
        os.listdir(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        told = f"{folder} cannot be read ({error.strerror or type(error).__name__})"
        yield Problem("unreadable", str(folder), told, "let it be read, or move it away")
        return
    for path in tuning_store.choice_files(store.root):
        try:
            tuning_store.read_arms(path)
            yield None
        except FileNotFoundError:  # it goes, as another command sets it aside
            pass
        except UserError as error:
            yield _of_record(error)
    journal = tuning_store.journal_path(store)
    if journal.exists():
        reason = tuning_journal.problem(journal, dict(tuning_journal.searches_of(store)))
        told = f"{journal} is damaged ({reason})"
        yield Problem("damaged", str(journal), told, "`tune` tells it again from the runs") if reason else None


def _of_record(error: UserError) -> Problem:
    if isinstance(error, Newer):
        return Problem("newer", str(error.path), str(error), "read it with a newer version")
    assert isinstance(error, Damaged)
    return Problem("damaged", str(error.path), f"{error.path} is damaged ({error.reason})", error.remedy)
