"""Time and memory of one training step of the class head, against the number of classes: finding 1's first half.

At the sizes that a laptop trains the head is a small share of a step; how it grows is measured by itself, on random
embeddings, on a CPU each cell in a process of its own so that one's memory is not another's.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from core import record
from core.data.rendering import Progress
from core.device import wait
from core.errors import UserError, first_line
from core.loss.fast_partial_fc import FastPartialFC
from core.loss.partial_fc import PartialFC
from core.measuring_process import MeasuringProcess
from core.result import environment
from core.store import HEAD_COST, HEAD_COST_SCHEMA, write_atomic

CLASSES = (500, 1_000, 10_000, 100_000, 390_144, 10_000_000)
RATES = (1.0, 0.3, 0.1)
HEADS = ("documented", "fast")
TURN_CLASSES, TURNS = 390_144, 10  # the record's classes, and how often its rates are timed in turn there
_SCALE, _MARGIN, _LR = 64.0, 0.4, 1e-3
_SECONDS = 1.5  # that a cell is measured for, at least
_MOST_STEPS, _LEAST_STEPS = 200, 5
_ROOM = 0.8  # share of the free memory that a cell may take


@dataclass(frozen=True)
class Cell:
    """What is measured: `head` documented (dense AdamW) or fast (windows, one moment a row)."""

    head: str
    rate: float
    classes: int
    batch: int
    embed_dim: int
    device: str
    threads: int


def measure(
    store: Path,
    *,
    classes: Sequence[int] = CLASSES,
    batch: int = 128,
    embed_dim: int = 256,
    device: str = "cpu",
    threads: int = 1,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Measure every head and rate at every number of classes; keep the rows in `store` and return them.

    A row holds the cell's fields and `ms` (median), `step_mb` (peak of a step beyond what stays between steps),
    `state_mb` (centres and optimiser), or `reason` where it could not be measured. The file also holds `turns`, the
    medians of the documented head at the record's number of classes, rates in turn: what a verdict on speed rests on.
    Turns that are not measured anew stay if they are of the same device and threads. Where no cell could be measured
    nothing is written.

    Raises:
        UserError: fewer classes than a batch of distinct ones needs.
        RunFailure: the store cannot be written.
    """
    if min(classes) < 10:
        raise UserError(f"--classes: at least 10, not {min(classes)}")
    cells = [
        Cell(head, rate, count, batch, embed_dim, device, threads)
        for count in sorted(set(classes)) for head in HEADS for rate in RATES
    ]  # fmt: skip
    rows = []
    # On a CPU a process's memory is its only measure; on a GPU PyTorch counts it, and a start takes longer than a cell.
    with MeasuringProcess(keep=device.startswith("cuda")) as process:
        for done, cell in enumerate(cells, 1):
            rows.append(_row(cell, process))
            if progress:
                progress(f"{cell.head} head, {cell.classes:,} classes, rate {cell.rate:g}", done, len(cells))
        timed = turns(batch, embed_dim, device, threads, process, progress) if TURN_CLASSES in classes else {}
    if any("ms" in row for row in rows):
        now = environment(device, threads)
        found = {"environment": now, "rows": rows, "turns": timed or _earlier_turns(store, now)}
        write_atomic(store / HEAD_COST, record.seal(found, HEAD_COST_SCHEMA))
    return rows


def _earlier_turns(store: Path, now: Mapping[str, Any]) -> Any:
    """The turns that the store has, if they were measured on the same device; else none."""
    try:
        kept = record.read(store / HEAD_COST, HEAD_COST_SCHEMA)
        there = kept["environment"]
        same = all(there.get(name) == now.get(name) for name in ("device", "hardware", "threads"))
        return kept["turns"] if same else {}
    except (UserError, OSError, KeyError, AttributeError):  # none was written, or it cannot be read
        return {}


def turns(
    batch: int, embed_dim: int, device: str, threads: int, process: MeasuringProcess, progress: Progress | None = None
) -> dict[str, list[float]]:
    """Milliseconds of a documented step by rate, `TURNS` medians each; empty where one could not be measured.

    Rates alternate, each time measured anew, so that a machine that slows down slows all of them.
    """
    seen: dict[str, list[float]] = {f"{rate:g}": [] for rate in RATES}
    for turn in range(TURNS):
        for rate in RATES:
            row = _row(Cell("documented", rate, TURN_CLASSES, batch, embed_dim, device, threads), process)
            if "ms" not in row:
                return {}
            seen[f"{rate:g}"].append(row["ms"])
        if progress:
            progress(f"rates in turn at {TURN_CLASSES:,} classes", turn + 1, TURNS)
    return seen


def _row(cell: Cell, process: MeasuringProcess) -> dict[str, Any]:
    try:
        needed, free = needed_mb(cell), free_mb(cell.device)
    except (RuntimeError, AssertionError) as error:  # of a GPU without a driver, or a PyTorch without GPUs
        return {**asdict(cell), "reason": _told(error)}
    if needed > _ROOM * free:
        return {**asdict(cell), "reason": f"needs about {needed / 1e3:.1f} GB, {free / 1e3:.1f} GB are free"}
    return {**asdict(cell), **_measured(cell, process)}


def _measured(cell: Cell, process: MeasuringProcess) -> dict[str, Any]:
    """What a process measures, or the reason why it could not."""
    try:
        return dict(process.ask(measure_cell, cell))
    except BrokenProcessPool:
        return {"reason": "the process died, perhaps for memory"}
    except (RuntimeError, MemoryError, ValueError) as error:  # torch says with the first that there is no memory
        return {"reason": _told(error)}


def _told(error: Exception) -> str:
    return first_line(error, 200)


def measure_cell(cell: Cell) -> dict[str, float | None]:
    """`ms`, `step_mb` and `state_mb` of one cell, in this process, whose GPU is left as it was."""
    try:
        return _measure_cell(cell)
    finally:
        if cell.device.startswith("cuda"):
            gc.collect()
            torch.cuda.empty_cache()


def _measure_cell(cell: Cell) -> dict[str, float | None]:
    torch.set_num_threads(cell.threads)
    device = torch.device(cell.device)
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(cell.batch, cell.embed_dim, generator=generator).to(device).requires_grad_()
    step, state, scratch = head_step(cell, device)
    batches = torch.randint(cell.classes, (_MOST_STEPS + 2, cell.batch), generator=generator)

    def run(labels: torch.Tensor) -> None:
        embeddings.grad = None
        step(embeddings, labels)
        wait(device)

    run(batches[-1])  # makes the optimiser's state
    state_mb = state() / 1e6
    step_mb = peak_mb(lambda: run(batches[-2]), device)
    if step_mb is not None:
        step_mb += scratch() / 1e6  # held for the next step, but a step's all the same
    ms = median_ms((partial(run, labels) for labels in batches[:_MOST_STEPS]), _SECONDS, _LEAST_STEPS)
    peak = None if step_mb is None else round(step_mb, 1)
    return {"ms": ms, "step_mb": peak, "state_mb": round(state_mb, 1)}


def median_ms(steps: Iterable[Callable[[], object]], seconds: float, least: int) -> float:
    """Median milliseconds of steps, of which no more are done than take `seconds` together, and `least`."""
    seen: list[float] = []
    for step in steps:
        started = time.perf_counter()
        step()
        seen.append(time.perf_counter() - started)
        if sum(seen) > seconds and len(seen) >= least:
            break
    return round(statistics.median(seen) * 1e3, 4)


def head_step(
    cell: Cell, device: torch.device
) -> tuple[Callable[[torch.Tensor, torch.Tensor], None], Callable[[], int], Callable[[], int]]:
    """A training step, the bytes of centres and optimiser state, and of what steps hold for the next one."""
    shape = cell.embed_dim, cell.classes, "cosface", _SCALE, _MARGIN, cell.rate
    if cell.head == "fast":
        fast = FastPartialFC(*shape).to(device)

        def fast_step(embeddings: torch.Tensor, labels: torch.Tensor) -> None:
            fast(embeddings, labels).backward()
            fast.step(_LR)

        def held() -> int:
            return sum(tensor.nbytes for tensor in fast.buffers())

        return fast_step, held, lambda: fast.scratch_bytes
    head = PartialFC(*shape).to(device)
    optimizer = torch.optim.AdamW(head.parameters(), lr=_LR, fused=True)

    def step(embeddings: torch.Tensor, labels: torch.Tensor) -> None:
        head(embeddings, labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def state() -> int:
        moments = [value for values in optimizer.state.values() for value in values.values()]
        return sum(tensor.nbytes for tensor in [head.weight, *moments])

    return step, state, lambda: 0


def peak_mb(work: Callable[[], object], device: torch.device) -> float | None:
    """Peak memory of `work` beyond what is held before it, in MB (10^6 bytes); None where it cannot be told."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
        work()
        return (torch.cuda.max_memory_allocated(device) - held) / 1e6
    try:
        before = status_mb("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak so far
    except OSError:
        return None
    work()
    return max(0.0, status_mb("VmHWM") - before)


def status_mb(field: str) -> float:
    """MB (10^6 bytes) of a field of /proc/self/status (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024 / 1e6


def needed_mb(cell: Cell) -> float:
    """Roughly: centres, and for the documented head gradient, two moments and as much again for the moment."""
    tables = 1.2 if cell.head == "fast" else 6.0
    return tables * cell.classes * cell.embed_dim * 4 / 1e6


def free_mb(device: str) -> float:
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0] / 1e6
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024 / 1e6
    except (OSError, StopIteration):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6
