"""What a training step's parts take on this device, at many sizes: what `ablations.scaling` fits its model to.

One process measures all sizes of one part, one after another; medians of steps after a first one that is not counted.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from typing import Any

import torch

from core.config import RunConfig
from core.config_sections import device_kind
from core.data.augment import Augment
from core.data.rendering import Progress
from core.device import wait
from core.errors import RunFailure
from core.head_cost import Cell, free_mb, head_step, median_ms, needed_mb
from core.measuring_process import MeasuringProcess
from core.model.embedder import Embedder
from core.precision import matmul_precision

_CLASSES = (2_000, 20_000, 100_000, 400_000, 1_000_000)
_RATES = (1.0, 0.3, 0.1, 0.01)
_BATCHES = (32, 128, 512)  # embeddings that a head sees in a step
_IMAGES = (4, 8, 16, 32, 64, 128, 256)  # that an embedder sees in a step
_SECONDS, _LEAST = 0.5, 3  # that a size is measured for, and steps, at least
_MOST_WORK = {"cpu": 3e10, "cuda": 1e13}  # multiplications of a step that is worth measuring
_ROOM = 0.5  # share of the free memory that a size may take


@dataclass(frozen=True)
class HeadStep:
    """A step of the class head: `classes` on this device, of which `sampled` are used, by `batch` embeddings."""

    classes: int
    sampled: int
    batch: int
    embed_dim: int
    ms: float


@dataclass(frozen=True)
class EmbedderStep:
    """A step of the embedder by `images`: augmentation, forward, backward, optimiser."""

    images: int
    ms: float


def head_steps(kind: str, config: RunConfig, progress: Progress | None = None) -> list[HeadStep]:
    """Measure the head `kind` of `core.head_cost.HEADS` at many sizes.

    Raises:
        RunFailure: `worker_died`, for want of memory most likely.
    """
    runtime = config.runtime
    work = _MOST_WORK[device_kind(runtime.device)]
    cells = [
        Cell(kind, rate, classes, batch, config.model.embed_dim, runtime.device, runtime.threads)
        for classes in _CLASSES for rate in _RATES for batch in _BATCHES
    ]  # fmt: skip
    cells = [
        cell for cell in cells
        if int(cell.rate * cell.classes) > 2 * cell.batch and 3 * _sampled(cell) * cell.batch * cell.embed_dim < work
    ]  # fmt: skip
    found = _elsewhere(_measure_heads, cells, "steps of the class head", progress)
    return [HeadStep(**facts) for facts in found]


def embedder_steps(config: RunConfig, progress: Progress | None = None) -> list[EmbedderStep]:
    """Measure the configuration's embedder by many numbers of images; raises as `head_steps`."""
    sizes = [images for images in _IMAGES if images <= max(64, config.optim.batch_size)]
    found = _elsewhere(_measure_embedder, [(config, images) for images in sizes], "steps of the embedder", progress)
    return [EmbedderStep(**facts) for facts in found]


def _elsewhere(
    work: Callable[[list[Any]], list[dict[str, Any]]], sizes: list[Any], what: str, progress: Progress | None
) -> list[dict[str, Any]]:
    """What `work` gives for the sizes, by a process of its own that is handed some at a time."""
    found: list[dict[str, Any]] = []
    with MeasuringProcess(keep=True) as process:
        for done in range(0, len(sizes), 3):
            try:
                found += process.ask(work, sizes[done : done + 3])
            except BrokenProcessPool:
                raise RunFailure("worker_died", f"{what}: the measuring process died, perhaps for memory") from None
            if progress:
                progress(what, min(done + 3, len(sizes)), len(sizes))
    return found


def _sampled(cell: Cell) -> int:
    return int(cell.rate * cell.classes)


def _measure_heads(cells: list[Cell]) -> list[dict[str, Any]]:
    found = []
    for cell in cells:
        gc.collect()
        if needed_mb(cell) > _ROOM * free_mb(cell.device):
            continue
        torch.set_num_threads(cell.threads)
        device, draws = torch.device(cell.device), torch.Generator().manual_seed(0)
        embeddings = torch.randn(cell.batch, cell.embed_dim, generator=draws).to(device).requires_grad_()
        step, _, _ = head_step(cell, device)

        def once(
            step: Any = step, embeddings: torch.Tensor = embeddings, cell: Cell = cell, draws: Any = draws
        ) -> None:
            embeddings.grad = None
            step(embeddings, torch.randint(cell.classes, (cell.batch,), generator=draws))

        facts = {name: value for name, value in asdict(cell).items() if name in ("classes", "batch", "embed_dim")}
        found.append({**facts, "sampled": _sampled(cell), "ms": _median_ms(once, device)})
    return found


def _measure_embedder(sizes: list[tuple[RunConfig, int]]) -> list[dict[str, Any]]:
    found = []
    for config, images in sizes:
        torch.set_num_threads(config.runtime.threads)
        device, size = torch.device(config.runtime.device), config.data.image_size
        model = config.model.model_copy(update={"pretrained": "none"})
        embedder = Embedder(model, size, 0).to(device).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(embedder.parameters(), fused=True)
        augment, stream = Augment(config.data.augment), torch.Generator().manual_seed(0)
        noise = torch.Generator(device).manual_seed(1)
        pool = torch.randint(0, 256, (images, 3, size, size), dtype=torch.uint8).to(device)

        def once(
            embedder: Embedder = embedder, optimizer: Any = optimizer, augment: Augment = augment,
            pool: torch.Tensor = pool, stream: torch.Generator = stream, noise: torch.Generator = noise,
        ) -> None:  # fmt: skip
            shown = augment(pool, stream, noise=noise).contiguous(memory_format=torch.channels_last)
            embedder(shown).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        with matmul_precision(config.precision.mode):
            found.append({"images": images, "ms": _median_ms(once, device)})
    return found


def _median_ms(once: Callable[[], object], device: torch.device) -> float:
    """Median milliseconds of `once`, after two that are not counted."""

    def step() -> None:
        once()
        wait(device)

    step()
    step()
    return median_ms(itertools.repeat(step), _SECONDS, _LEAST)
