"""The embedder's forward and backward pass in training as two CUDA graphs: their kernels are started all at once.

A small backbone's kernels are short, and starting hundreds of them one by one takes a host longer than a large GPU
needs for their work. Nothing else of a step is captured: its shapes or numbers change from step to step.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_WARM_UP = 3  # passes before a capture, as cuDNN chooses its kernels and libraries take their workspace


class Captured(nn.Module):
    """`core.model.parallel.Forward`, captured at its first call; later calls must have the first one's shapes.

    It keeps the precision that was set at the first call, is for training mode alone, and can be differentiated once a
    call, before the next: its outputs and gradients lie where those of the next call will. Buffers, such as BatchNorm's
    running means, change once a call, as without it.

    Attributes:
        eager: the pass as it is without.
    """

    def __init__(self, eager: nn.Module) -> None:
        super().__init__()
        self.eager = eager
        self._graphs: _Graphs | None = None

    def forward(self, images: torch.Tensor, students: int) -> tuple[torch.Tensor, torch.Tensor]:
        """As `Forward.forward`; `images` are copied."""
        if self._graphs is None:
            self._graphs = _Graphs(self.eager, images, students)
        if images.shape != self._graphs.images.shape or students != self._graphs.students:
            raise ValueError(
                f"captured for images {tuple(self._graphs.images.shape)} and {self._graphs.students} students, "
                f"not {tuple(images.shape)} and {students}"
            )
        embeddings, last = _Replay.apply(self._graphs, images, *self._graphs.parameters)
        return embeddings, embeddings[-students:] if last is None else last


class _Graphs:
    """The two graphs, and the tensors that they read and write."""

    def __init__(self, eager: nn.Module, images: torch.Tensor, students: int) -> None:
        self.eager, self.students = eager, students
        self.parameters = [one for one in eager.parameters() if one.requires_grad]
        self.images = images.clone()
        # The device that is current is another where the run is on a second GPU, and its stream would capture nothing.
        with torch.cuda.device(images.device):
            self._capture(eager)

    def _capture(self, eager: nn.Module) -> None:
        buffers = {name: buffer.clone() for name, buffer in eager.named_buffers()}
        self._warm_up()
        pool, stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream(self.images.device)
        self.forward, self.backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with _no_collection():
            # Only what this thread does may not disturb the capture: another may be making the next batch.
            with torch.cuda.graph(self.forward, pool=pool, stream=stream, capture_error_mode="thread_local"):
                outputs = self._outputs()
            self.upstream = [torch.zeros_like(one) for one in outputs]
            with torch.cuda.graph(self.backward, pool=pool, stream=stream, capture_error_mode="thread_local"):
                self.gradients = self._gradients(outputs, self.upstream)
        # Detached, as what autograd would keep alive with them are nodes that belong to the capture's stream.
        self.outputs = [one.detach() for one in outputs]
        with torch.no_grad():
            for name, buffer in eager.named_buffers():
                buffer.copy_(buffers[name])

    def _outputs(self) -> list[torch.Tensor]:
        """Embeddings, and what is projected where that is something else."""
        with torch.enable_grad():
            embeddings, last = self.eager(self.images, self.students)
        return [embeddings, last] if getattr(self.eager, "projection", None) is not None else [embeddings]

    def _gradients(self, outputs: list[torch.Tensor], upstream: list[torch.Tensor]) -> tuple[torch.Tensor | None, ...]:
        return torch.autograd.grad(outputs, self.parameters, upstream, allow_unused=True)

    def _warm_up(self) -> None:
        here, side = torch.cuda.current_stream(self.images.device), torch.cuda.Stream(self.images.device)
        side.wait_stream(here)
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                outputs = self._outputs()
                self._gradients(outputs, [torch.zeros_like(one) for one in outputs])
        here.wait_stream(side)


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage is collected, but for what there is before: freeing an earlier run's graphs would break a capture."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Replay(torch.autograd.Function):
    """One pass by the graphs; parameters are arguments so that autograd hands them their gradients."""

    @staticmethod
    def forward(ctx: Any, graphs: _Graphs, images: torch.Tensor, *_: torch.Tensor) -> tuple[Any, ...]:
        ctx.graphs = graphs
        graphs.images.copy_(images)
        graphs.forward.replay()
        outputs = tuple(one.detach() for one in graphs.outputs)
        return outputs if len(outputs) == 2 else (*outputs, None)

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> tuple[Any, ...]:
        graphs = ctx.graphs
        for place, given in zip(graphs.upstream, upstream, strict=False):
            if given is None:
                place.zero_()
            else:
                place.copy_(given)
        graphs.backward.replay()
        return None, None, *(None if one is None else one.detach() for one in graphs.gradients)
