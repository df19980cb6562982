"""The batches that a run trains on: drawn, augmented, and on a GPU made while the one before is trained on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from core.config import RunConfig
from core.data.augment import Augment
from core.data.expansion import take
from core.ranks import Part
from core.schedule import ClassOrder
from core.seeds import torch_stream


@dataclass(frozen=True)
class Batch:
    """Classes of the whole batch, int64 on the CPU, and the augmented images of this rank's part of it.

    Attributes:
        images: float32 (B, 3, S, S), channels last; where clean views are wanted (2 B, 3, S, S), those after.
        made: when an accelerator is done with the images, where they are made on a stream of their own.
    """

    classes: torch.Tensor
    images: torch.Tensor
    made: torch.cuda.Event | None = None


class Batches:
    """One batch after another. Its streams are read by nobody else.

    Args:
        pool: uint8 (N, 3, S, S) on the device that trains.
        part: the rows of each batch that this rank trains on.
        ahead: the next batch is made by a thread while the last is trained on; by default on a GPU, which the host has
            trouble to keep busy. The batches are the same.
    """

    def __init__(self, config: RunConfig, pool: torch.Tensor, part: Part, ahead: bool | None = None) -> None:
        data, seed, device = config.data, config.seed, pool.device
        self._config, self.pool, self.part = config, pool, part
        self.augment: Callable[..., torch.Tensor] = Augment(data.augment)
        self.augment_stream = torch_stream(seed, "augment")
        # On the CPU pixels' noise is of the same stream; drawing it there for another device would take long.
        self.noise_stream = self.augment_stream if device.type == "cpu" else torch_stream(seed, "augment.noise", device)
        self.order_stream = torch_stream(seed, "order")
        self.order = ClassOrder(data.classes, config.optim.batch_size, self.order_stream)
        cuda = device.type == "cuda"
        self._thread = ThreadPoolExecutor(1, "batches") if (cuda if ahead is None else ahead) else None
        self._side = torch.cuda.Stream(device) if cuda else None
        self._given = 0
        self._next: tuple[dict[str, Any], Future[Batch]] | None = None  # the state before it was drawn, and the batch

    def next(self) -> Batch:
        """The next batch, on the current stream of an accelerator."""
        batch = self._made() if self._next is None else self._next[1].result()
        self._next = None
        # The first one is trained on alone: what is set up then, such as CUDA graphs, wants the device for itself.
        if self._thread is not None and self._given:
            if self._given == 1 and self._side is not None:  # what the first batch left for all: constants, the pool
                self._side.wait_stream(torch.cuda.current_stream(self.pool.device))
            before = self._state()
            self._next = before, self._thread.submit(self._made_aside)
        self._given += 1
        if batch.made is not None:
            here = torch.cuda.current_stream(batch.images.device)
            here.wait_event(batch.made)
            batch.images.record_stream(here)
        return batch

    def _made(self) -> Batch:
        config = self._config
        classes = self.order.next()
        clean = take(self.pool, classes[self.part.rows], config.data.expansion)
        images = self.augment(clean, self.augment_stream, self.part, self.noise_stream)
        if config.distill.clean_view:
            images = torch.cat([images, clean.float().div_(255)])
        return Batch(classes, images.contiguous(memory_format=torch.channels_last))

    def _made_aside(self) -> Batch:
        with torch.cuda.stream(self._side) if self._side is not None else nullcontext():
            batch = self._made()
            if self._side is None:
                return batch
            made = torch.cuda.Event()
            made.record(self._side)
            return Batch(batch.classes, batch.images, made)

    def streams(self) -> dict[str, torch.Generator]:
        """By name; those that are one are there once."""
        streams = {"augment": self.augment_stream, "order": self.order_stream}
        return streams if self.noise_stream is self.augment_stream else {**streams, "noise": self.noise_stream}

    def _state(self) -> dict[str, Any]:
        return {
            "order": self.order.rest,
            "streams": {name: stream.get_state() for name, stream in self.streams().items()},
        }

    def state(self) -> dict[str, Any]:
        """What the next batch to be given depends on: `order`, the rest of a pass, and `streams`, by name."""
        kept = self._state() if self._next is None else self._next[0]
        return {**kept, "order": kept["order"].clone()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a `state`, whatever device it is of."""
        if self._next is not None:
            self._next[1].result()  # it draws from the streams until it is done
            self._next = None
        self.order.load(state["order"])
        for name, stream in self.streams().items():
            if name in state["streams"]:  # another device's run has no noise of this one's
                stream.set_state(state["streams"][name].cpu())
