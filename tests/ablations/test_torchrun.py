"""`torchrun -m ablations`: runs trained by two processes together, as a user starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from core.store import CHECKPOINT, Store
from tests.ablations.conftest import TINY, TWO_ARMS, WILD, CommandLine, command_environment
from tests.faults.kills import descendants

_PATIENCE = 240.0
_LONG = ("--set", "optim.samples=60000", "--seeds", "1", "--no-control")


class Torchrun:
    """The command on two ranks, in a folder that has the study of two arms."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "mine.yaml").write_text(TWO_ARMS)
        self.store = Store(folder / "runs")

    def start(self, *words: str) -> subprocess.Popen[str]:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        return subprocess.Popen(
            [*launcher, "-m", "ablations", *words], cwd=self.folder, env=command_environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def run(self, *words: str, code: int = 0) -> str:
        process = self.start(*words)
        try:
            said, _ = process.communicate(timeout=_PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        assert (process.returncode == 0) == (code == 0), said
        return said

    def results(self) -> dict[str, dict[str, Any]]:
        return {key: self.store.result(key) for key in self.store.run_keys() if self.store.state(key) == "done"}


@pytest.fixture
def torchrun(tmp_path: Path) -> Torchrun:
    return Torchrun(tmp_path)


def test_two_ranks_give_the_runs_of_one_process_under_the_same_keys(torchrun: Torchrun, cli: CommandLine) -> None:
    said = torchrun.run("run", "mine.yaml", *TINY, "--seeds", "1", "--no-control", "--no-html")
    assert "2 runs, one after another, each on all 2 ranks" in said
    assert said.count("done    [") == 2  # by the leading rank alone
    assert "report: " in said
    together = torchrun.results()
    assert {result["environment"]["ranks"] for result in together.values()} == {2}
    words = ["run", "mine.yaml", *TINY, "--seeds", "1", "--no-control", "--no-report", "--store", "alone"]
    assert cli(*words) == 0
    other = Store(torchrun.folder / "alone")
    assert sorted(other.run_keys()) == sorted(together)
    for key, result in together.items():
        ours, theirs = ([point["loss"] for point in one["curve"]] for one in (result, other.result(key)))
        assert ours == pytest.approx(theirs, rel=1e-3)
    assert "2 cached" in torchrun.run("run", "mine.yaml", *TINY, "--seeds", "1", "--no-control", "--no-report")


def test_runs_that_fail_do_so_alone_and_what_is_wrong_is_said_once(torchrun: Torchrun) -> None:
    (torchrun.folder / "damaged.pt").write_text("no teacher")
    failing = (
        "study: mine\ntitle: t\nquestion: q\nbaseline: ln\narms:\n"
        "  blind: {distill.kind: cosine, distill.teacher: damaged.pt}\n"
        "  unfit: {model.backbone: levit_128s, model.pretrained: none}\n"
        f"{WILD}  ln: {{}}\n"
    )
    (torchrun.folder / "mine.yaml").write_text(failing)
    said = torchrun.run("run", "mine.yaml", *TINY, "--seeds", "1", "--no-control", "--no-report", code=1)
    assert len(torchrun.results()) == 1
    kinds = {torchrun.store.failure(key)["kind"] for key in torchrun.store.run_keys() if key not in torchrun.results()}
    assert kinds == {"bad_weights", "bad_config", "diverged"}
    assert said.count("diverged: ") == said.count("bad_config: ") == said.count("bad_weights: ") == 1
    assert "on one rank alone" not in said
    assert "[rank1]: Traceback" not in said
    said = torchrun.run("run", "nothing-of-this-name", code=1)
    assert said.count("error: ") == 1


def test_a_rank_that_dies_and_the_checkpoint_that_goes_on(torchrun: Torchrun, cli: CommandLine) -> None:
    process = torchrun.start("run", "mine.yaml", *TINY, *_LONG, "--no-report")
    deadline = time.monotonic() + _PATIENCE
    while not list(torchrun.store.root.glob(f"*/{CHECKPOINT}")) and time.monotonic() < deadline:
        time.sleep(0.2)
    kept = next(torchrun.store.root.glob(f"*/{CHECKPOINT}"))
    ranks = [pid for pid in descendants(process.pid) if b"ablations" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(ranks[-1], signal.SIGKILL)
    process.communicate(timeout=_PATIENCE)
    assert process.returncode
    assert kept.is_file()
    assert torchrun.results() == {}
    short = ["--budget", "1s"]  # what is left is not started: only what the checkpoint says is looked at
    said = torchrun.run("run", "mine.yaml", *TINY, *_LONG, "--no-report", "--retry-failed", *short, code=1)
    assert "runs were left for lack of time" in said
    assert cli("status") == 0
    assert "worker_died" in cli.out or "samples when last saved" in cli.out


def test_an_environment_of_half_a_launcher_is_refused_in_a_line(torchrun: Torchrun) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ablations", "list"], cwd=torchrun.folder, capture_output=True, text=True,
        env=command_environment(WORLD_SIZE="2", RANK="0"),
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "error: WORLD_SIZE is set and LOCAL_RANK is not: start several processes with torchrun\n"
