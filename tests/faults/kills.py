"""kill -9 at random moments of sweeps: the command, a worker, or all at once, wherever they happen to be.

Every sweep starts with an empty store and an empty cache, so that pools, captures and teacher features are made in it,
too, and it ends with a report. It is started again after each kill until it is done; then nothing may be lost, doubled
or damaged, and every number must equal that of a sweep that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.store import Store
from tests.core.stores import equal_part
from tests.faults.rows import Row

STUDY = """\
study: killed
title: Arms to be killed
question: Is anything lost?
baseline: ln
arms:
  ln: {}
  bn: {model.norm: bn, loss.sampler: windows, loss.centre_update: row_scalar}
  distilled: {distill.kind: kld}
"""
SMALL = [
    "--preset", "smoke", "--seeds", "2", "--jobs", "2", "--set", "optim.samples=256", "--set", "eval.points=2",
    "--set", "data.pool=24", "--set", "data.images=24", "--set", "eval.identities=8", "--set", "model.embed_dim=32",
    "--set", "eval.validation_identities=6", "--set", "eval.captures=3",
]  # fmt: skip
VICTIMS = ("everything", "the command", "a worker")
_PATIENCE = 600.0


@dataclass
class Place:
    """A store, a cache and a report of their own under one folder."""

    folder: Path
    survived: Counter[str] = field(default_factory=Counter)

    @property
    def store(self) -> Store:
        return Store(self.folder / "runs")

    def start(self) -> subprocess.Popen[bytes]:
        """The command, as the leader of a process group of its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        study = self.folder / "killed.yaml"
        study.write_text(STUDY)
        words = ["run", study, *SMALL, "--retry-failed", "--store", self.store.root, "--out", self.folder / "report"]
        environment = {
            **os.environ, "DOCABLATE_CACHE": str(self.folder / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        with (self.folder / "said.txt").open("ab") as said:
            return subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("impatient.py")), *map(str, words)],
                stdout=said, stderr=said, env=environment, start_new_session=True,
            )  # fmt: skip


def kill(command: subprocess.Popen[bytes], victim: str, draw: random.Random) -> bool:
    """Kill a victim; False where it is gone already, or not there yet."""
    if command.poll() is not None:
        return False
    if victim == "everything":
        os.killpg(command.pid, signal.SIGKILL)
        return True
    if victim == "the command":
        command.kill()
        return True
    try:
        os.kill(draw.choice(descendants(command.pid)), signal.SIGKILL)
    except (IndexError, ProcessLookupError):
        return False
    return True


def descendants(pid: int) -> list[int]:
    """Processes that a process started, and theirs: workers, drawing processes, helpers of Python's own."""
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in listed.read_text().split()]
        except OSError:
            continue
        found += [one for child in children for one in (child, *descendants(child))]
    return found


def facts(place: Place) -> dict[str, Any]:
    """All that must be equal to the bit, by run that is done."""
    store = place.store
    return {key: equal_part(store, key) for key in store.run_keys() if store.state(key) == "done"}


def problems(place: Place, expected: dict[str, Any]) -> list[str]:
    """What is wrong with a store whose sweep was killed many times and is now done."""
    got = facts(place)
    wrong = [f"run {key} is missing" for key in expected.keys() - got.keys()]
    wrong += [f"run {key} is one too many" for key in set(place.store.run_keys()) - expected.keys()]
    wrong += [f"run {key} has other numbers" for key in expected.keys() & got.keys() if got[key] != expected[key]]
    checked = subprocess.run(
        [sys.executable, "-m", "ablations", "store", "check", "--store", str(place.store.root), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if checked.returncode:
        wrong.append(f"`store check` says {checked.stdout or checked.stderr}")
    return wrong


def sweep_until_done(place: Place, draw: random.Random, kills: int, longest: float) -> int:
    """Start a sweep, kill it, start it again, up to `kills` times; then let it end. Returns the kills made."""
    made = 0
    while True:
        command = place.start()
        while made < kills and command.poll() is None:  # a command outlives its workers, and may be struck again
            victim = draw.choice(VICTIMS)
            # What is done stays done, so that short lives reach the end of a sweep, too, after some of them.
            until = time.monotonic() + draw.uniform(0, longest / 3)
            while command.poll() is None and time.monotonic() < until:
                time.sleep(0.005)
            if kill(command, victim, draw):
                made += 1
                place.survived[victim] += 1
                if victim != "a worker":
                    break
        try:
            code = command.wait(_PATIENCE)
        finally:
            if command.poll() is None:
                os.killpg(command.pid, signal.SIGKILL)
        if code == 0:
            return made


def rows(kills: int, folder: Path, seed: int = 0) -> list[Row]:
    """Kill `kills` times, sweep after sweep; one row for each kind of victim."""
    draw = random.Random(seed)
    undisturbed = Place(folder / "undisturbed")
    began = time.monotonic()
    if code := undisturbed.start().wait(_PATIENCE):
        raise RuntimeError(f"an undisturbed sweep ends with {code}: see {undisturbed.folder / 'said.txt'}")
    longest, expected = time.monotonic() - began, facts(undisturbed)
    tries: Counter[str] = Counter()
    survived: Counter[str] = Counter()
    number = 0
    while tries.total() < kills:
        place = Place(folder / f"sweep-{number}")
        sweep_until_done(place, draw, min(kills - tries.total(), 12), longest)
        tries += place.survived
        if wrong := problems(place, expected):
            print(json.dumps(wrong, indent=1), f"kept in {place.folder}", file=sys.stderr)
        else:
            survived += place.survived
            shutil.rmtree(place.folder)
        number += 1
        print(f"{tries.total()} of {kills} kills, {number} sweeps, {survived.total()} survived", file=sys.stderr)
    how = f"started again until done, {number} sweeps: all runs there, once, equal to the bit, `store check` clean"
    return [Row(f"kill -9 of {victim} at a random moment", tries[victim], survived[victim], how) for victim in VICTIMS]
