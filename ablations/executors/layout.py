"""How many worker processes, and threads in each: chosen by measurement once a machine, and remembered."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from core import record, torchrun
from core.data import cache
from core.errors import UserError
from core.lease import Leases
from core.result import cpu_name
from core.store import write_atomic

# glibc gives freed blocks back to the system and faults them in again, page by page, at every step; keeping them
# makes augmentation up to twice as fast. Asking for huge pages, where the kernel gives them to who asks, makes a whole
# step a sixth faster, as most of it passes over memory. A process reads these when it starts.
ALLOCATOR = {
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
_SCHEMA = 1  # of what is remembered
_WORTH_MEASURING = 900.0  # core-seconds of work: below this the measurement costs more than it can save
_BATCH, _SIZE = 64, 64
_SECONDS = 3.0
_PATIENCE = 120.0  # seconds until all processes of a measurement have started


@dataclass(frozen=True)
class Layout:
    """Processes and threads of each.

    The number of threads may change the last bits of a result, the number of processes never does.
    """

    jobs: int
    threads: int

    @classmethod
    def choose(cls, jobs: int | None, runs: int, device: str) -> Layout:
        """The layout for `runs` runs: `jobs` where asked for, else the machine's fastest, never more than runs.

        Threads belong to the machine, so that neither `jobs` nor the number of runs changes a result: one, unless more
        were measured to be faster. A GPU, whose bits are not repeated anyway, has one process unless `jobs` are more,
        and all share the cores.
        """
        cores = core_count()
        if device.startswith("cuda"):
            gpus = gpu_count(device)
            return cls(max(1, min(jobs or gpus, runs)), max(1, cores // max(gpus, jobs or 0)))
        fastest = remembered() or cls(cores, 1)
        return cls(max(1, min(jobs or fastest.jobs, runs)), fastest.threads)


def gpu_count(device: str) -> int:
    """How many GPUs a device of the command line means: `cuda` all that there are, `cuda:N` the one; at least 1."""
    if device != "cuda":
        return 1
    import torch  # takes seconds, and is needed where a GPU is asked for alone

    return max(1, torch.cuda.device_count())


def device_of(device: str, worker: int) -> str:
    """The device of the worker of that number, from 0: of `cuda` the machine's GPUs in turn."""
    gpus = gpu_count(device)
    return f"{device}:{worker % gpus}" if gpus > 1 else device


def worth_measuring(seconds: float, jobs: int | None, device: str) -> bool:
    """Whether a machine that was never measured should be, before so many core-seconds of work of its own workers."""
    wanted = jobs is None and not device.startswith("cuda") and core_count() > 1 and not torchrun.launched()
    return wanted and seconds > _WORTH_MEASURING and remembered() is None


def measure_if_worth(seconds: float, jobs: int | None, device: str, say: Callable[[str], None]) -> None:
    """Measure the machine before long work, once, and `say` so; if another process does it now, wait for it."""
    if not worth_measuring(seconds, jobs, device):
        return
    with Leases(cache.cache_dir(None)).hold(".lease-layout"):
        if remembered() is None:
            say("measuring how many processes are fastest here, once a machine")
            measured()


@contextmanager
def environment_of(changes: dict[str, str]) -> Iterator[None]:
    """Environment variables that a spawned process starts with, unless the user set them."""
    added: dict[str, Any] = {name: value for name, value in changes.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def candidates(cores: int) -> list[Layout]:
    """From a process a core to one process of all cores, by powers of two."""
    threads = sorted({cores, *(2**power for power in range(cores.bit_length()) if 2**power <= cores)})
    return [Layout(cores // count, count) for count in threads]


def remembered() -> Layout | None:
    """The fastest layout of this machine, if it was measured."""
    try:
        facts = record.read(_path(), _SCHEMA)
        found = Layout(int(facts["jobs"]), int(facts["threads"]))
        return found if min(found.jobs, found.threads) > 0 else None
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return None


def measured() -> Layout:
    """Measure every candidate with training steps; remember the fastest, if any could be run, and return it."""
    rates = {layout: rate(layout) for layout in candidates(core_count())}
    best = max(rates, key=lambda layout: rates[layout])
    if not rates[best]:  # none could be run: a process a core, until a measurement succeeds
        return best
    facts = {
        "jobs": best.jobs, "threads": best.threads,
        "samples_per_second": {f"{one.jobs} x {one.threads}": round(rates[one]) for one in rates},
    }  # fmt: skip
    write_atomic(_path(), record.seal(facts, _SCHEMA))
    return best


def rate(layout: Layout) -> float:
    """Samples per second of all processes of a layout together; 0 where they could not be run."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(layout.jobs), context.SimpleQueue()
    with environment_of({"OMP_NUM_THREADS": str(layout.threads), **ALLOCATOR}):
        workers = [
            context.Process(target=_train, args=(layout.threads, barrier, results), daemon=True)
            for _ in range(layout.jobs)
        ]
        for worker in workers:
            worker.start()
    for worker in workers:
        worker.join(_PATIENCE)
        if worker.is_alive():
            worker.kill()
            worker.join()
    if any(worker.exitcode for worker in workers):
        return 0.0
    return float(sum(results.get() for _ in workers))


def _train(threads: int, barrier: Barrier, results: Any) -> None:
    """Training steps of the quick preset's embedder for some seconds, started together with the other processes."""
    import torch

    from core.config_sections import ModelConfig
    from core.model.embedder import Embedder

    torch.set_num_threads(threads)
    embedder = Embedder(ModelConfig(pretrained="none"), _SIZE, 0).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(embedder.parameters(), fused=True)
    images = torch.rand(_BATCH, 3, _SIZE, _SIZE).contiguous(memory_format=torch.channels_last)

    def step() -> None:
        embedder(images).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for _ in range(3):
        step()
    barrier.wait(_PATIENCE)
    started, steps = time.perf_counter(), 0
    while (seconds := time.perf_counter() - started) < _SECONDS:
        step()
        steps += 1
    results.put(steps * _BATCH / seconds)


def _path() -> Path:
    # Without `environment`, which imports PyTorch: seconds, for a command that may have nothing to train.
    machine = f"{cpu_name()} {core_count()} {_torch_version()}"
    return cache.cache_dir(None) / f"layout-{hashlib.sha256(machine.encode()).hexdigest()[:16]}.json"


def _torch_version() -> str:
    """PyTorch's version with its build, which its distribution does not name, without importing it."""
    spec = find_spec("torch")
    text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8") if spec and spec.origin else ""
    found = re.search(r"^__version__ = ['\"](.+)['\"]", text, re.MULTILINE)
    return found[1] if found else "unknown"
