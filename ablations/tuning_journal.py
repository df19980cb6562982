"""The store's own Optuna journal: verified when it is opened, and told anew from the searches where it is damaged.

Nothing is chosen from it; it is there for Optuna's tools. Optuna appends to it and never looks back, so that after a
torn line it can no longer be read, and a changed digit in it goes unseen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ablations import terminal, tuning_store
from ablations.journal_lock import journal_lock
from ablations.tuning import Trial
from core.errors import UserError, first_line
from core.integrity import put_aside
from core.store import Store

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

Search = Mapping[int, Trial]  # by number


def open_journal(store: Store, console: Console) -> BaseStorage:
    """The journal of the store; a damaged one is set aside, and all searches that the store knows are told again.

    Raises:
        UserError: it cannot be opened; `RunFailure` where the store cannot be written.
    """
    tuning_store.make_folder(store)
    path = tuning_store.journal_path(store)
    searches = dict(searches_of(store))
    reason = problem(path, searches)
    anew = bool(reason) or not path.exists()  # an imported store has searches, and no journal
    if reason:
        told = f"{path} is damaged ({reason})"
        where = put_aside(store, path, told)
        text = f"{told}. It is set aside as {where}, and trials are told again from the store"
        terminal.say(console, text)
    opened = tuning_store.open_storage(str(path))
    for name, search in searches.items() if anew else ():
        own = next((one.values for one in search.values() if one.origin == "preset"), {})
        tuning_store.tell_values(opened, name, own, list(search.values()))
    return opened


def open_other(where: str) -> BaseStorage:
    """The storage that the user named; `UserError` where it cannot be opened, or is a journal that is damaged."""
    if "://" not in where and (reason := problem(Path(where), {})):
        raise UserError(f"--storage {where} is damaged ({reason}): move it away, and run `tune` again to tell it anew")
    return tuning_store.open_storage(where)


def problem(path: Path, searches: Mapping[str, Search]) -> str:
    """What is wrong with a journal file, also against what `searches` hold; nothing for one that is good or not there.

    Nobody appends to it meanwhile: a line that is torn is not one that is just being written.
    """
    if not path.is_file():
        return "it is not a file" if path.exists() else ""
    if searches and not path.stat().st_size:
        return "it is empty"
    try:
        lock = journal_lock(path)
        lock.acquire()
    except OSError:  # of a folder that cannot be written: then nobody appends either
        return _unreadable(path) or _differing(path, searches)
    try:
        return _unreadable(path) or _differing(path, searches)
    finally:
        lock.release()


def _unreadable(path: Path) -> str:
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        return error.strerror or type(error).__name__
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            return f"line {number} ends before its time"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            return f"line {number} is not JSON"
        if not isinstance(entry, dict) or not isinstance(entry.get("op_code"), int):
            return f"line {number} is no operation"
    return ""


def _differing(path: Path, searches: Mapping[str, Search]) -> str:
    try:
        opened = tuning_store.open_storage(str(path))
        for study in opened.get_all_studies():
            trials = opened.get_all_trials(study._study_id, deepcopy=False)
            search = searches.get(study.study_name)
            if search is None:
                continue
            last = max(search, default=None)
            for told in trials:
                number = told.user_attrs.get("trial")
                if isinstance(number, int) and last is not None and number > last:
                    continue  # told by a command that was stopped before it wrote its choices
                ours = search.get(number) if isinstance(number, int) else None
                if ours is None or not _same(told, ours):
                    return f"trial {number} of {study.study_name} is not as it was told"
    except Exception as error:  # what Optuna makes of operations that nobody wrote
        return first_line(error, 200)
    return ""


def _same(told: FrozenTrial, ours: Trial) -> bool:
    if told.user_attrs.get("key") != ours.key or told.params != dict(ours.values):
        return False
    if told.state.name != "COMPLETE" or ours.failure:  # one of them is of an attempt before, or after
        return True
    return told.value == ours.value and told.user_attrs.get("auroc") == ours.auroc


def searches_of(store: Store) -> Iterator[tuple[str, Search]]:
    """Every arm's search that the store has a record of, by the name of its Optuna study."""
    for path in tuning_store.choice_files(store.root):
        try:
            arms = tuning_store.read_arms(path)
        except (UserError, FileNotFoundError):  # it goes, as another command sets it aside
            continue  # `tune` of its study says so
        for arm in arms.values():
            yield str(arm.get("optuna")), {one["trial"]: _trial(one) for one in arm["trials"]}


def _trial(told: Mapping[str, Any]) -> Trial:
    return Trial(
        told["trial"], told["origin"], told["values"], told["key"], told["value"], told["auroc"], told["failure"]
    )
