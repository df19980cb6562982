"""A GPU that runs out of memory in the middle of a run: the allocator's own error, raised where no GPU is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from core.result import code_versions
from core.store import CHECKPOINT, Store
from tests.ablations.conftest import TINY, TWO_ARMS, command_environment

# The command line; workers import this file, too. Of the two arms only one has a BatchNorm in its head.
SHORT_OF_MEMORY = """
import os
import torch
import core.checkpoint

core.checkpoint.SAVE_EVERY = 0.0
forward, steps = torch.nn.BatchNorm1d.forward, 0

def allocate(self, batch):
    global steps
    steps += self.training
    if steps > 4:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return forward(self, batch)

if "PLENTY" not in os.environ:
    torch.nn.BatchNorm1d.forward = allocate
if __name__ == "__main__":
    from ablations.__main__ import main
    main()
"""


def test_a_gpu_out_of_memory_fails_its_run_which_goes_on_with_more(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(TWO_ARMS)
    (tmp_path / "short.py").write_text(SHORT_OF_MEMORY)
    words = ["run", "mine.yaml", *TINY, "--set", "optim.batch_size=16", "--jobs", "1", "--store", "runs", "--no-report"]

    def run(*more: str, **also: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "short.py", *words, *more], cwd=tmp_path, env=command_environment(**also),
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    first = run()
    store = Store(tmp_path / "runs")
    states = {key: store.state(key) for key in store.run_keys()}
    assert first.returncode == 1, first.stderr
    # Also the control's baseline on another seed.
    assert sorted(states.values()) == ["done", "done", "failed"]
    (failed,) = (key for key, state in states.items() if state == "failed")
    failure = store.failure(failed)
    assert failure["kind"] == "out_of_memory"
    assert "lower optim.batch_size or --jobs" in failure["message"]
    assert failure["code"] == code_versions()
    assert store.path(failed, CHECKPOINT).exists()

    again = run("--retry-failed", PLENTY="1")
    assert again.returncode == 0, again.stderr
    assert all(store.state(key) == "done" for key in states)
    assert store.result(failed)["cost"]["resumed"] == 1
