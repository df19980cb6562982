"""How long runs take together: on processes, on cores and GPUs that they share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ablations import estimate, workload
from ablations.estimate import Estimate
from ablations.planner import Run
from ablations.workload import captures_to_draw, effort, preparation_notes
from core.config import RunConfig
from core.materials import prepare
from tests.conftest import make_images


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


def held_out(**changes: Any) -> RunConfig:
    fields = {
        "data.pool": 8, "data.images": 8, "data.image_size": 32, "eval.identities": 6, "eval.validation_identities": 4,
        "eval.captures": 3, "eval.shifted": True,
    }  # fmt: skip
    return RunConfig().with_overrides({**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "counts"),
    [({}, [12, 18, 18]), ({"eval.shifted": False}, [12, 18]), ({"eval.judged": "validation"}, [12, 12])],
)
def test_captures_to_draw_are_those_that_a_run_makes(
    tmp_path: Path, changes: dict[str, Any], counts: list[int]
) -> None:
    """The names of files are the cache's own affair: if they were made otherwise, these would not be found."""
    config = held_out(**changes, **{"runtime.cache_dir": str(tmp_path)})
    assert sorted(captures_to_draw(config).values()) == counts
    prepare(config)
    assert captures_to_draw(config) == {}
    assert len(captures_to_draw(held_out(**changes, **{"runtime.cache_dir": str(tmp_path), "eval.severity": 0.3})))


def test_photographs_of_the_users_own_are_not_drawn(tmp_path: Path) -> None:
    for name in range(12):
        make_images(tmp_path / "own" / str(name), 2, seed=name)
    own = held_out(**{"eval.source": (str(tmp_path / "own"),), "runtime.cache_dir": str(tmp_path)})
    assert captures_to_draw(own) == {}


def test_captures_are_told_of_where_they_take_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def notes(*configs: RunConfig) -> list[str]:
        return preparation_notes([Run(str(n), one, "r", "new", Estimate(1.0, 1.0)) for n, one in enumerate(configs)])

    config = held_out(**{"runtime.cache_dir": str(tmp_path)})
    assert notes(config) == []  # a fraction of a second
    monkeypatch.setattr(estimate, "_CAPTURE_SECONDS", (10.0, 0.0))
    told = "{} captures are drawn first, once: about {} on 4 CPU cores, beside the time of the runs"
    assert notes(config, config.with_overrides({"seed": 1})) == [told.format(48, "2:00 min")]
    assert notes(config, held_out(**{"runtime.cache_dir": str(tmp_path), "data.image_size": 64})) == [
        told.format(96, "4:00 min")
    ]
    assert notes(config.with_overrides({"runtime.device": "cuda"})) == [told.format(48, "2:00 min")]  # on no GPU
    prepare(config)
    assert notes(config) == []
