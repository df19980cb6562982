"""A step of training on a GPU: pretended ones everywhere, one of NVIDIA's where there is one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from core.config import RunConfig
from core.evaluation import evaluate
from core.trainer import train
from tests.core.cases_on_a_gpu import ARMS, PLAIN, SMALL, close, on_cpu

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
    trainer.step(1)  # what is made once may be waited for
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.step(2)
        trainer.step(3)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@REAL
@pytest.mark.parametrize("changes", [{}, {"loss__centre_update": "row_scalar", "loss__sampler": "windows"}])
def test_a_real_gpu_gives_the_cpus_numbers(changes: dict[str, Any]) -> None:
    plain = {**PLAIN, **changes, "precision__mode": "highest"}
    ours, theirs = on_cpu(**plain, runtime__device="cuda"), on_cpu(**plain)
    with torch.backends.cudnn.flags(allow_tf32=False):
        for index in range(1, 4):
            ours.step(index)
            theirs.step(index)
    close(ours, theirs)
    judged = [evaluate(one.embedder, one.materials.validation, one.device).metrics for one in (ours, theirs)]
    assert judged[0]["auroc"] == pytest.approx(judged[1]["auroc"], abs=0.02)


@REAL
def test_a_run_on_a_real_gpu() -> None:
    config = RunConfig().with_overrides({**SMALL, "optim.samples": 320, "runtime.device": "cuda"})
    result = train(config)
    assert 0 <= result.metrics["auroc"] <= 1
    assert result.environment["device"].startswith("cuda")
