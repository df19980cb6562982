"""Processes and threads: asked for, remembered, or measured once."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from ablations.executors import layout
from ablations.executors.layout import (
    ALLOCATOR,
    Layout,
    candidates,
    device_of,
    environment_of,
    measured,
    remembered,
    worth_measuring,
)
from core.lease import Leases


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Eight cores and a cache of its own."""
    monkeypatch.setenv("DOCABLATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(layout, "core_count", lambda: 8)
    return tmp_path / "cache"


def test_without_a_measurement_a_core_gets_a_process() -> None:
    assert Layout.choose(None, 100, "cpu") == Layout(8, 1)
    assert Layout.choose(None, 3, "cpu") == Layout(3, 1)
    assert Layout.choose(None, 100, "cuda") == Layout(1, 8)
    assert Layout.choose(None, 0, "cpu").jobs == 1


def test_each_gpu_has_a_process_and_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert Layout.choose(None, 100, "cuda") == Layout(4, 2)
    assert Layout.choose(6, 100, "cuda") == Layout(6, 1)
    assert Layout.choose(2, 100, "cuda") == Layout(2, 2)
    assert Layout.choose(None, 3, "cuda") == Layout(3, 2)
    assert Layout.choose(None, 100, "cuda:1") == Layout(1, 8)
    assert [device_of("cuda", worker) for worker in range(5)] == ["cuda:0", "cuda:1", "cuda:2", "cuda:3", "cuda:0"]
    assert {device_of(device, 3) for device in ("cuda:1", "cpu")} == {"cuda:1", "cpu"}
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert device_of("cuda", 1) == "cuda"
    assert Layout.choose(4, 100, "cuda") == Layout.choose(4, 100, "cuda:0") == Layout(4, 2)
    assert Layout.choose(4, 1, "cuda") == Layout(1, 2)


@pytest.mark.parametrize("fastest", [Layout(8, 1), Layout(4, 2), Layout(1, 8), None])
def test_jobs_and_runs_change_how_many_processes_there_are_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, fastest: Layout | None
) -> None:
    """The number of threads may change a result's last bits."""
    monkeypatch.setattr(layout, "remembered", lambda: fastest)
    chosen = {(jobs, runs): Layout.choose(jobs, runs, "cpu") for jobs in (None, 1, 2, 8) for runs in (1, 2, 100)}
    assert len({one.threads for one in chosen.values()}) == 1
    assert chosen[8, 100].jobs == 8
    assert chosen[1, 100].jobs == chosen[8, 1].jobs == chosen[None, 1].jobs == 1


def test_candidates_use_all_cores() -> None:
    assert candidates(8) == [Layout(8, 1), Layout(4, 2), Layout(2, 4), Layout(1, 8)]
    assert candidates(6) == [Layout(6, 1), Layout(3, 2), Layout(1, 4), Layout(1, 6)]
    assert candidates(1) == [Layout(1, 1)]


def test_the_fastest_is_remembered_and_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worth_measuring(10_000, None, "cpu")
    monkeypatch.setattr(layout, "rate", lambda one: {8: 90.0, 4: 100.0, 2: 0.0, 1: 40.0}[one.jobs])
    assert measured() == Layout(4, 2)
    assert remembered() == Layout(4, 2)
    assert Layout.choose(None, 100, "cpu") == Layout(4, 2)
    assert Layout.choose(2, 100, "cpu") == Layout(2, 2)
    assert Layout.choose(None, 100, "cuda:0").jobs == 1
    assert not worth_measuring(10_000, None, "cpu")


def test_short_work_and_chosen_layouts_are_not_measured_for() -> None:
    assert not worth_measuring(60, None, "cpu")
    assert not worth_measuring(10_000, 2, "cpu")
    assert not worth_measuring(10_000, None, "cuda")


def test_no_workers_are_counted_for_ranks_that_torchrun_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not worth_measuring(10_000, None, "cpu")


@pytest.mark.parametrize("text", ["", "[]", '{"jobs": "many"}', '{"jobs": 0, "threads": 1}'])
def test_a_damaged_memory_is_no_memory(monkeypatch: pytest.MonkeyPatch, machine: Path, text: str) -> None:
    monkeypatch.setattr(layout, "rate", lambda one: 1.0)
    measured()
    path = next(machine.glob("layout-*.json"))
    whole = path.read_text()
    for damaged in (text, whole.replace('"jobs": 8', '"jobs": 9')):
        path.write_text(damaged)
        assert remembered() is None


def test_a_measurement_that_failed_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "rate", lambda one: 0.0)
    assert measured() == Layout(8, 1)
    assert remembered() is None


def test_training_steps_are_counted_for_real() -> None:
    assert layout.rate(Layout(1, 1)) > 1


def test_two_processes_do_not_measure_at_the_same_time(monkeypatch: pytest.MonkeyPatch, machine: Path) -> None:
    def measure(one: Layout) -> float:
        assert Leases(machine).acquire(".lease-layout") is None
        return 1.0

    said: list[str] = []
    monkeypatch.setattr(layout, "rate", measure)
    layout.measure_if_worth(10_000, None, "cpu", said.append)
    assert len(said) == 1
    assert remembered() is not None
    # One that waited for the other finds it measured.
    monkeypatch.setattr(layout, "worth_measuring", lambda *_: True)
    layout.measure_if_worth(10_000, None, "cpu", said.append)
    assert len(said) == 1


_HUGE = """
held = bytearray(64 * 2**20)
lines = open("/proc/self/smaps_rollup").read().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("AnonHugePages")))
"""


def _may_have_huge_pages() -> bool:
    told = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    name, version = platform.libc_ver()
    recent = name == "glibc" and tuple(map(int, version.split("."))) >= (2, 35)
    return recent and told.exists() and "[never]" not in told.read_text()


@pytest.mark.skipif(not _may_have_huge_pages(), reason="huge pages take Linux that gives them, and glibc 2.35")
def test_workers_get_huge_pages_unless_the_user_chose_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    def huge_kb() -> int:
        with environment_of(ALLOCATOR):
            return int(subprocess.run([sys.executable, "-c", _HUGE], check=True, capture_output=True).stdout)

    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert huge_kb() >= 32 * 1024
    assert "GLIBC_TUNABLES" not in os.environ
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")
    with environment_of(ALLOCATOR):
        assert os.environ["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=0"


def test_a_layout_is_remembered_for_the_version_and_build_of_pytorch() -> None:
    import torch

    assert layout._torch_version() == torch.__version__
