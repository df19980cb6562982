"""How long runs take together: on processes, on cores and GPUs that they share."""

from __future__ import annotations

import pytest

from ablations import workload
from ablations.estimate import Estimate
from ablations.planner import Run
from ablations.workload import effort
from core.config import RunConfig


def runs(seconds: list[float], device: str = "cpu") -> list[Run]:
    config = RunConfig().with_overrides({"runtime.device": device})
    return [Run(str(n), config, "r", "new", Estimate(each, 1.0)) for n, each in enumerate(seconds)]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "core_count", lambda: 4)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)


def test_processes_that_share_a_gpu_are_taken_to_be_no_faster() -> None:
    found = {device: effort(runs([10.0] * 8, device), 4)["seconds"] for device in ("cpu", "cuda", "cuda:0")}
    assert found == {"cpu": 20.0, "cuda": 40.0, "cuda:0": 80.0}
    assert effort([], 4) == {"seconds": 0.0, "processes": 1}


def test_processes_that_share_cores_are_taken_to_be_no_faster() -> None:
    assert effort(runs([10.0] * 8), 8) == {"seconds": 20.0, "processes": 8}


@pytest.mark.parametrize(
    ("seconds", "jobs", "expected"),
    [([90.0, 10.0, 10.0], 2, 90.0), ([10.0, 10.0, 10.0, 90.0], 2, 100.0), ([30.0, 20.0, 20.0], 2, 40.0)],
)
def test_a_run_is_not_shared_out(seconds: list[float], jobs: int, expected: float) -> None:
    """In the order in which they start, each on the process that is free first."""
    assert effort(runs(seconds), jobs)["seconds"] == expected
