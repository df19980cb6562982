"""What a run asks of a cluster's nodes, and what is said where none is left: of nodes that are only told of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ablations.budget import Budget
from ablations.executors import ray_cluster
from ablations.executors.gate import RunGate
from ablations.executors.ray_cluster import RayExecutor, _Flight
from ablations.executors.ray_link import Needs
from ablations.executors.worker import Event, Task
from core.config import RunConfig
from core.store import Store


class Cluster:
    """As the module `ray`, connected: (CPUs, GPUs) of its nodes."""

    def __init__(self, *nodes: tuple[int, int]) -> None:
        self.has = nodes

    def shutdown(self) -> None: ...

    def nodes(self) -> list[dict[str, Any]]:
        resources = [{"CPU": float(cores), "memory": 1e12, **({"GPU": float(gpus)} if gpus else {})} for cores, gpus in self.has]  # noqa: E501  # fmt: skip
        dead = {"NodeID": "dead", "Alive": False, "Resources": {"CPU": 1.0, "GPU": 8.0}}
        return [dead, *({"NodeID": str(index), "Alive": True, "Resources": one} for index, one in enumerate(resources))]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def executor(store: Store, monkeypatch: pytest.MonkeyPatch, cluster: Cluster, needs: Needs) -> RayExecutor:
    monkeypatch.setattr(ray_cluster, "connect", lambda address: cluster)
    return RayExecutor(store, None, needs)


@pytest.mark.parametrize(
    ("nodes", "gpus", "room"),
    [
        ([(64, 8)], 1.0, 8), ([(64, 8)], 0.5, 16), ([(64, 8)], 0.25, 32), ([(64, 8)], 2.0, 4),
        ([(64, 8), (16, 4)], 1.0, 12), ([(64, 8), (96, 0)], 1.0, 8), ([(2, 4)], 1.0, 2),
    ],
)  # fmt: skip
def test_no_gpu_is_idle_for_want_of_cores(
    store: Store, monkeypatch: pytest.MonkeyPatch, nodes: list[tuple[int, int]], gpus: float, room: int
) -> None:
    """However many cores and GPUs the driver has, of which `Needs` tells."""
    for threads in (1, 32):
        assert executor(store, monkeypatch, Cluster(*nodes), Needs(threads, gpus, 2000)).room() == room


def test_runs_on_cores_have_the_threads_of_the_driver_and_so_its_bits(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert executor(store, monkeypatch, Cluster((64, 8)), Needs(4, 0.0, 2000)).room() == 16


def test_that_no_node_is_left_is_told_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster((1, 0))
    ray = executor(store, monkeypatch, cluster, Needs(1, 0.0, 2000))
    task, said, looks = Task("run", "a" * 16, "a", RunConfig()), list[str](), iter(range(5))

    def start(place: int, task: Task) -> None:
        ray._flights.append(_Flight(place, task, None))
        cluster.has = ()

    def listen() -> None:
        if next(looks, None) is None:
            ray._end(ray._flights[0], Event("done", task.key))

    monkeypatch.setattr(ray, "_start", start)
    monkeypatch.setattr(ray, "_listen", listen)
    budget = Budget()
    budget.expect({task.key: 1.0})
    gate = RunGate(store, budget, [task.key], lambda *_: None, said.append)
    assert ray.run([task], lambda *_: None, lambda *_: None, gate=gate) == 0
    assert said == ["waiting for the cluster: no node of it has room for a run"]
