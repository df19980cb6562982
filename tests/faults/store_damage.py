"""Every file of a store damaged in every way: it is named, recomputed and changes no number, or the row says what went.

`damage_every_file` is for any number of tries; `tests/faults/test_store_damage.py` has a small one.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from ablations.cli import run_cli
from ablations.executors import choice
from ablations.executors.worker import Event, Task
from ablations.registry import load_study
from core import record
from core.errors import UserError
from core.integrity import examine
from core.store import CHECKPOINT, HEAD_COST, HEAD_COST_SCHEMA, Store
from core.trainer import train
from tests.ablations.conftest import TINY as OPTIONS

TINY = [*OPTIONS, "--no-control"]
_STUDY = (
    "study: mine\ntitle: t\nquestion: q\nfindings: [7_neck]\nbaseline: flat\narms:\n  flat: {}\n"
    "  gap: {model.neck: gap}\ncontrasts:\n  - {finding: 7_neck, better: flat, than: gap, smallest_effect: 0.05}\n"
)
_SEALED = ("schema", "checksum", "files")
Damage = Callable[[bytes, np.random.Generator], bytes | None]  # None: a folder takes the file's place

DAMAGES: dict[str, Damage] = {
    "cut": lambda data, rng: data[: int(rng.integers(0, max(1, len(data))))],
    "a bit flipped": lambda data, rng: _flipped(data, rng, 1),
    "bytes changed": lambda data, rng: _flipped(data, rng, 12),
    "emptied": lambda data, rng: b"",
    "zeros": lambda data, rng: bytes(len(data)),
    "garbage": lambda data, rng: rng.bytes(max(1, len(data))),
    "another file's bytes": lambda data, rng: b'{"schema": 2, "key": "0123456789abcdef", "metrics": {}}',
    "a folder": lambda data, rng: None,
}
REMOVED, UNREADABLE = "removed", "unreadable"  # the second does nothing to root


@dataclass
class Damaged:
    """One file damaged once, and what came of it; `wrong` is empty where it was survived."""

    file: str
    damage: str
    outcome: str = ""
    wrong: list[str] = field(default_factory=list)


def make_home(home: Path) -> None:
    """A real store of two arms, a failed and an unfinished run among them, with searches, a timing and a report."""
    home.mkdir(parents=True)
    (home / "mine.yaml").write_text(_STUDY)
    with _in_this_process({}), contextlib.chdir(home):
        for words in (["run", "mine.yaml", *TINY, "--seeds", "2"], ["tune", "mine.yaml", *OPTIONS, "--trials", "2"]):
            code, said = _said(words)
            assert code == 0, said
        store = Store("runs")
        plan = json.loads(_said(["plan", "mine.yaml", *TINY, "--seeds", "2", "--json"])[1])
        keys = {run["run"]: run["key"] for run in plan["runs"]}
        timed = {"turns": {"0.3": [20.0, 21.0]}, "environment": {"device": "cpu"}}
        (store.root / HEAD_COST).write_bytes(record.seal(timed, HEAD_COST_SCHEMA))
        shutil.copytree("runs", "whole")
        failed, unfinished = keys["mine/gap seed 1"], keys["mine/flat seed 1"]
        (store.path(failed) / "result.json").unlink()
        store.fail(failed, "diverged", "the loss is nan")
        (store.path(unfinished) / "result.json").unlink()
        (store.path(unfinished) / CHECKPOINT).write_bytes(b"PK\x03\x04 of an unfinished run")
        code, said = _said(["report", "mine.yaml", *TINY, "--seeds", "2", "--no-html", "--out", "report"])
        assert code == 0, said


def damage_every_file(home: Path, tries: int, seed: int, names: Sequence[str] | None = None) -> list[Damaged]:
    """Damage every file of the store that `make_home` made, `tries` times each, one at a time; a row for each.

    Args:
        names: files by their path in the store; default all.
    """
    rng = np.random.default_rng(seed)
    whole = home / "runs"
    files = names or sorted(path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file())
    kinds = [*DAMAGES, REMOVED, *([UNREADABLE] if os.geteuid() else [])]
    world = _World(home)
    rows, turn = [], int(rng.integers(len(kinds)))
    for name in files:
        for _ in range(tries):
            rows.append(world.survives(name, kinds[turn % len(kinds)], rng))
            turn += 1
    return rows


class _World:
    """The home, a copy of it to damage, and what its runs came to when nothing was damaged."""

    def __init__(self, home: Path) -> None:
        self.home, self.copy = home, home.parent / f"{home.name}-damaged"
        self.known = {key: _outcome(Store(home / "whole"), key) for key in Store(home / "whole").run_keys()}
        self.trials = {key for key, known in self.known.items() if known[0]["config"]["eval"]["judged"] == "validation"}

    def survives(self, name: str, damage: str, rng: np.random.Generator) -> Damaged:
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.home, self.copy)
        row = Damaged(name, damage)
        path = self.copy / "runs" / name
        _apply(path, damage, rng)
        same = path.is_file() and path.read_bytes() == (self.home / "runs" / name).read_bytes()
        with contextlib.chdir(self.copy), _in_this_process(self.known):
            self._read(row, same)
            self._recompute(row)
        return row

    def _read(self, row: Damaged, same: bool) -> None:
        """Verbs that never write: no traceback, sane exit codes, and no number that was never measured."""
        before = _listing(Path("runs"))
        own = [*TINY, "--seeds", "2"]
        for words, sane in (
            (["status", "--json"], {0}), (["plan", "mine.yaml", *own, "--json"], {0}),
            (["plan", "mine.yaml", *own, "--tuned", "--json"], {0, 2}),
            (["report", "mine.yaml", *own, "--no-html", "--out", "again"], {0}),
            (["report", "--check", "--out", "report"], {0, 1}), (["store", "check"], {0, 1}), (["store", "gc"], {0}),
            (["run-info", row.file.split("/")[0]], {0, 2}), (["store", "export", "all.tgz"], {0, 1, 2}),
        ):  # fmt: skip
            if words[0] == "run-info" and "/" not in row.file:
                continue
            code, said = _said(words)
            if code not in sane:
                row.wrong.append(f"{' '.join(words[:2])} ended with {code}: {said[-300:]}")
            if words[1] == "check":
                row.outcome = "named" if code else "unseen"
                if not code and not same and not self._harmless(row.file):
                    row.wrong.append("store check did not see it")
        if _listing(Path("runs")) != before:
            row.wrong.append("a verb that only reads has written to the store")
        store = Store("runs")
        for key in store.run_keys():
            found = examine(store, key, digests=True)
            if found.result is not None and not self._equal(store, key):
                row.wrong.append(f"{key} is done, with numbers that it never had")

    def _harmless(self, name: str) -> bool:
        """Files without a checksum: of runs that are not done, which are made anew; and records laid out otherwise."""
        now, before = (Path(root) / name for root in ("runs", self.home / "runs"))
        if name.count("/") == 1 and not (before.parent / "result.json").exists() and before.name != "failure.json":
            return True
        if name.endswith("result.json") and not now.exists():
            return True  # it was never done, then
        if not now.exists():
            return name.endswith(("failure.json", ".json", ".log"))
        try:
            return name.endswith(".json") and json.loads(now.read_bytes()) == json.loads(before.read_bytes())
        except ValueError:
            return False

    def _recompute(self, row: Damaged) -> None:
        """What trains: afterwards all is as if nothing had been damaged."""
        tuning = row.file.startswith("tuning/") or row.file.split("/")[0] in self.trials
        words = ["run", "mine.yaml", *TINY, "--seeds", "2", "--retry-failed", "--no-report"]
        if tuning:
            words = ["tune", "mine.yaml", *OPTIONS, "--trials", "2"]
        code, said = _said(words)
        if code:
            row.wrong.append(f"{words[0]} ended with {code}: {said[-300:]}")
            return
        store = Store("runs")
        lost = [key for key in self.known if (key in self.trials) == tuning and not self._equal(store, key)]
        row.wrong += [f"{key} is not what it was" for key in lost]
        logs = row.file.endswith(("config.yaml", "metrics.jsonl"))
        if logs and Path("runs", row.file).read_bytes() != (self.home / "whole" / row.file).read_bytes():
            row.wrong.append(f"{row.file} is not what it was")
        if "damaged" in said or "aside" in said:
            row.outcome += ", said, made again"
        if not tuning and row.file != HEAD_COST:
            code, said = _said(["store", "check"])
            if code:
                row.wrong.append(f"after {words[0]}: {said[-300:]}")

    def _equal(self, store: Store, key: str) -> bool:
        """Whether a run has the numbers that it had, to the bit."""
        try:
            result, scores = _outcome(store, key)
        except UserError:
            return False
        known, arrays = self.known[key]
        return (
            all(result[name] == known[name] for name in ("metrics", "validation", "shifted", "config", "inputs"))
            and scores.keys() == arrays.keys()
            and all(np.array_equal(scores[name], arrays[name]) for name in arrays)
        )


def _outcome(store: Store, key: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    result = store.result(key)
    return {name: value for name, value in result.items() if name not in _SEALED}, store.scores(key)


def _apply(path: Path, damage: str, rng: np.random.Generator) -> None:
    if damage == UNREADABLE:
        path.chmod(0)
        return
    data = path.read_bytes()
    path.unlink()
    if damage == REMOVED:
        return
    made = DAMAGES[damage](data, rng)
    path.mkdir() if made is None else path.write_bytes(made)


def _flipped(data: bytes, rng: np.random.Generator, count: int) -> bytes:
    changed = bytearray(data or b"\0")
    for place in rng.integers(0, len(changed), count):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _listing(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}


def _said(words: Sequence[str]) -> tuple[int, str]:
    """Exit code and output of a command; code 99 for a traceback."""
    out = io.StringIO()
    load_study.cache_clear()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            code = run_cli(list(words))
        except BaseException:
            return 99, out.getvalue() + traceback.format_exc()
    return code, out.getvalue()


@contextlib.contextmanager
def _in_this_process(known: dict[str, tuple[dict[str, Any], dict[str, np.ndarray]]]) -> Iterator[None]:
    """Runs are trained in this process; those that are `known` come to what they came to, without the wait."""

    class Here:
        def __init__(self, store: Store, *_: Any, **__: Any) -> None:
            self._store = store

        def run(self, tasks: Sequence[Task], on_start: Any, on_event: Any, *_: Any, **__: Any) -> int:
            for task in tasks:
                if task.kind != "run":
                    continue
                on_start(0, task)
                payload = _trained(self._store, task, known.get(task.key))
                on_event(0, task, Event("done", task.key, payload=payload))
            return 0

        def close(self) -> None: ...

        stop = close

    with mock.patch.object(choice, "LocalExecutor", Here):
        yield


def _trained(store: Store, task: Task, known: tuple[dict[str, Any], dict[str, np.ndarray]] | None) -> dict[str, Any]:
    store.begin(task.key, task.config.to_yaml())
    if known is None:
        made = train(task.config, log=lambda curve: store.log(task.key, curve))
        known = (made.to_json(), made.scores)
    else:
        store.log(task.key, known[0]["curve"])
    store.finish(task.key, *known)
    return {**known[0]["metrics"], "seconds": 0.0, "identities": known[0]["test"]["identities"]}
