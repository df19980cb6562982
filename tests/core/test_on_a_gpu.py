"""A step of training on a GPU: pretended ones everywhere, one of NVIDIA's where there is one."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.config import RunConfig
from core.evaluation import evaluate
from core.precision import matmul_precision
from core.teacher import class_features
from core.trainer import train
from tests.core.cases_on_a_gpu import ARMS, PLAIN, SMALL, close, on_cpu, step

ROOT = Path(__file__).parents[2]
CASES = Path(__file__).with_name("cases_on_a_gpu.py")
REAL = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU of NVIDIA's")


def test_on_a_pretended_gpu() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:xdist", "-p", "no:cacheprovider", str(CASES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    if "SKIPPED" in done.stdout:
        pytest.skip("this PyTorch takes no backend that is written in Python")


@REAL
@pytest.mark.parametrize("changes", ARMS)
def test_a_real_gpu_is_never_waited_for(changes: dict[str, Any]) -> None:
    trainer = on_cpu(**changes, runtime__device="cuda")
    for index in (1, 2):  # what is made once may be waited for, by the thread that makes the next batch, too
        trainer.step(index)
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.step(3)
        trainer.step(4)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@REAL
@pytest.mark.parametrize("changes", ARMS[4:])
def test_a_real_gpu_gives_the_cpus_numbers(changes: dict[str, Any]) -> None:
    plain = {**PLAIN, "precision__mode": "highest", **changes}
    ours, theirs = on_cpu(**plain, runtime__device="cuda"), on_cpu(**plain)
    with torch.backends.cudnn.flags(allow_tf32=False):
        close(ours, theirs, 3, tolerance=0.1 if "precision__mode" in changes else 0.02)
        for one in (ours, theirs):  # and without the other's weights, to see what is kept between steps
            one.step(4)
    statistics = [dict(one.embedder.named_buffers()) for one in (ours, theirs)]
    for name, expected in statistics[1].items():
        torch.testing.assert_close(statistics[0][name].cpu(), expected, rtol=1e-3, atol=1e-4)
    judged = [evaluate(one.embedder, one.materials.validation, one.device).metrics for one in (ours, theirs)]
    assert judged[0]["auroc"] == pytest.approx(judged[1]["auroc"], abs=0.02)


@REAL
def test_one_run_after_another_is_captured() -> None:
    """Graphs of the last run, which nobody holds any more, must not be freed while the next is captured."""
    for _ in range(3):
        trainer = on_cpu(runtime__device="cuda")
        trainer.forward.itself = trainer.forward.eager.itself = trainer.forward  # a cycle
        trainer.step(1)
        del trainer


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two GPUs")
def test_a_second_gpu_trains_as_the_first() -> None:
    """A capture on the stream of another device than its tensors' is empty, and its embedder never learns."""
    first, second = (on_cpu(**PLAIN, runtime__device=f"cuda:{index}") for index in (0, 1))
    close(second, first, 3, tolerance=0.02)


@REAL
def test_a_trainer_on_a_real_gpu_goes_on_as_without_a_stop() -> None:
    """Two ways to the same step: batches that were made ahead are made again."""
    changes = {"runtime__device": "cuda", "data__augment": "photographed", "precision__mode": "highest"}
    whole, second = on_cpu(**changes), on_cpu(**changes)
    for index in (1, 2, 3):
        whole.step(index)
    second.load(copy.deepcopy(whole.state()))
    found, expected = step(second, 4), step(whole, 4)
    for name, one in expected.items():
        assert (found[name] - one).norm() <= 1e-3 * one.norm() + 1e-6, name


@REAL
def test_a_teacher_on_a_real_gpu_gives_the_cpus_features_and_leaves_no_memory(tmp_path: Path) -> None:
    """At float32's error, a tenth of TF32's, which is on here as a run may have left it."""
    rng = np.random.default_rng(0)
    cpu = RunConfig().with_overrides(
        {**SMALL, "distill.kind": "cosine", "data.expansion": 8, "runtime.cache_dir": str(tmp_path)}
    )
    there = cpu.with_overrides({"runtime.device": "cuda"})
    pools = rng.integers(0, 256, (2, 40, 32, 32, 3), np.uint8)
    torch.cuda.empty_cache()
    with matmul_precision("medium"):
        class_features(there, pools[0])  # libraries take their workspace, and keep it
        before = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
        found = class_features(there, pools[1])
        assert (torch.cuda.memory_allocated(), torch.cuda.memory_reserved()) == before
    assert found.device.type == "cpu"
    assert (found - class_features(cpu, pools[1])).norm(dim=1).max() < 1e-4


@REAL
def test_a_run_on_a_real_gpu() -> None:
    config = RunConfig().with_overrides({**SMALL, "optim.samples": 320, "runtime.device": "cuda"})
    result = train(config)
    assert 0 <= result.metrics["auroc"] <= 1
    assert result.environment["device"].startswith("cuda")
