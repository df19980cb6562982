"""A tiny preset's worth of options, so that commands run for real in seconds."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ablations.cli import run_cli
from ablations.registry import load_study
from tests.ablations.forked_workers import ForkedWorkers

ROOT = Path(__file__).parents[2]
TINY_SETS = [
    "optim.samples=64", "eval.points=1", "data.pool=24", "data.images=24", "eval.identities=8",
    "eval.validation_identities=6", "eval.captures=3", "model.embed_dim=32",
]  # fmt: skip
TINY = ["--preset", "smoke", *(word for field in TINY_SETS for word in ("--set", field))]

# Counts in tests are of this study: one of the package may gain arms at any time.
TWO_ARMS = "study: mine\ntitle: t\nquestion: q\nbaseline: ln\narms:\n  ln: {}\n  bn: {model.norm: bn}\n"

WILD = "  wild: {optim.lr: 1.0e+30, optim.clip: 1.0e+30, optim.warmup: 0, model.norm: none}\n"  # an arm that diverges

CLAIMING = TWO_ARMS + (
    "claims: {lower: LayerNorm wins}\ncontrasts:\n  - {finding: lower, better: ln, than: bn, smallest_effect: 0.02}\n"
)


@pytest.fixture(scope="module", autouse=True)
def _few_and_quick_workers() -> Iterator[None]:
    """Commands in this process start one worker unless they ask for more, and fork it.

    What a worker costs is its start, most of what a tiny run takes; and tests run side by side, on all cores, where two
    would only be in each other's way.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ablations.executors.layout.core_count", lambda: 1)
        forked = SimpleNamespace(get_context=lambda _: ForkedWorkers())
        patch.setattr("ablations.executors.local.multiprocessing", forked)
        yield


def with_two_arms(folder: Path, verb: str, *words: str) -> Path:
    """The folder, with a study of two arms and the store of what `verb` trains of it."""
    study = folder / "mine.yaml"
    study.write_text(TWO_ARMS)
    assert run_cli([verb, str(study), *TINY, *words, "--store", str(folder / "runs")]) == 0
    return folder


def reported(folder: Path, study: str, *words: str) -> Path:
    """The folder, with a study as `mine.yaml`, the runs of it and their report; paths in it are relative."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        load_study.cache_clear()  # a study file of the same name in another test's folder is another study
        Path("mine.yaml").write_text(study)
        assert run_cli(["run", "mine.yaml", *TINY, *words, "--out", "report"]) == 0
    return folder


def at_once(work: Callable[[], None], count: int = 4) -> None:
    """Do the same in several threads, and wait for all."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def command_environment(**more: str) -> dict[str, str]:
    """The environment of a command of this project's that is started in another folder."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **more}


class CommandLine:
    """Runs the real command line in this process and keeps what it said."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *words: str | Path) -> int:
        code = run_cli([str(word) for word in words])
        self.out, self.err = self._capsys.readouterr()
        return code

    def refuses(self, *words: str | Path) -> str:
        """The one line of an exit with code 2."""
        assert self(*words) == 2, self.err
        lines = [line for line in self.err.splitlines() if line.strip()]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        return lines[0]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    load_study.cache_clear()  # a study file of the same name in another test's folder is another study
    monkeypatch.setenv("COLUMNS", "200")
    return CommandLine(capsys)
