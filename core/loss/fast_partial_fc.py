"""PartialFC that updates its own centres: the record's loss at a fraction of its time and memory."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from core.loss.chunked_softmax import ChunkedSoftmax, Scratch
from core.loss.class_sampling import ClassSampler, Sample
from core.loss.partial_fc import INIT_SEED, SAMPLING_SEED, check_batch, check_head, cpu_generator, normal_rows
from core.loss.row_optimizer import RowOptimizer
from core.ranks import ALONE, Part, Ranks

_KEEP_BYTES = {"cpu": 100_000_000, "cuda": 500_000_000}


class FastPartialFC(nn.Module):
    """`core.loss.partial_fc.PartialFC` without a dense gradient: for the same sample, the same loss and gradients.

    A step costs time and memory in the size of the sample, not of the classes: negatives are drawn without a pass
    over all classes, products go block by block, and only rows that were used are updated, here and not by the
    caller's optimiser. So after `backward` the caller calls `step`:

        loss = head(embeddings, labels)
        loss.backward()
        norm = head.gradient_norm()       # to clip by; optional
        head.step(lr, coefficient)

    At sample rate 1 all classes are used and nothing is drawn.

    Args:
        embed_dim, num_classes, kind, scale, margin, sample_rate, generator, init_generator, init_std: as `PartialFC`;
            equal generators give equal first centres.
        sampler: one of `core.loss.class_sampling.SAMPLERS`.
        update: one of `core.loss.row_optimizer.UPDATES`.
        betas, eps, weight_decay: of the update.
        keep_bytes: memory that a step may use to avoid computing products twice; by default 100 MB, on a GPU 500 MB.
        ranks: that train together. Each has a part of the rows and their state, draws the whole sample, and calls
            `forward` with its part of the embeddings and all labels; the loss is that of the whole batch.

    Attributes:
        num_sampled: classes in a step that does not overflow (`windows` uses fewer: `core.loss.class_sampling`).
        overflow_steps: steps so far whose batch had more classes than `num_sampled`.

    Raises:
        ValueError: as `PartialFC`, or an unknown sampler or update.
    """

    def __init__(
        self,
        embed_dim: int,
        num_classes: int,
        kind: str,
        scale: float,
        margin: float,
        sample_rate: float,
        *,
        sampler: str = "windows",
        update: str = "row_scalar",
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        generator: torch.Generator | None = None,
        init_generator: torch.Generator | None = None,
        init_std: float = 0.01,
        keep_bytes: int | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__()
        self.num_sampled = check_head(embed_dim, num_classes, kind, scale, margin, sample_rate, init_std)
        self.embed_dim, self.num_classes = embed_dim, num_classes
        self.kind, self.scale, self.margin, self.sample_rate = kind, scale, margin, sample_rate
        self.keep_bytes, self.overflow_steps = keep_bytes, 0
        self._ranks, self._part = ranks, ranks.part(num_classes)
        self._sampler = ClassSampler(sampler, num_classes, self.num_sampled, cpu_generator(generator, SAMPLING_SEED))
        self._scratch = Scratch()
        self._latest: ChunkedSoftmax | None = None
        self._pending: tuple[ChunkedSoftmax, torch.Tensor] | None = None
        self.rows: torch.Tensor
        init = cpu_generator(init_generator, INIT_SEED)
        self.register_buffer("rows", _first_rows(self._part, embed_dim, init_std, init, self._sampler.row_of))
        self.optimizer = RowOptimizer(update, self.rows, betas=betas, eps=eps, weight_decay=weight_decay)

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean loss, a scalar of at least float32; arguments and errors as `PartialFC.forward`."""
        check_batch(embeddings, labels[self._ranks.part(len(labels)).rows], self.embed_dim, self.num_classes)
        return self.loss_over(embeddings, self.draw(labels))

    def draw(self, labels: torch.Tensor) -> Sample:
        """The rows of one step for labels (B,) int64 in [0, C), of all ranks; takes one draw below sample rate 1."""
        return self._sampler.draw(labels, self.rows.device)

    def loss_over(self, embeddings: torch.Tensor, sample: Sample) -> torch.Tensor:
        """Mean loss of embeddings (B, D) over the classes of a sample drawn before for their labels.

        Raises:
            RuntimeError: the last loss's gradient is still waiting for `step` or `skip`.
        """
        if self._pending is not None and embeddings.requires_grad:
            raise RuntimeError("the centres' gradient of the last loss is waiting: call step() or skip() first")
        self.overflow_steps += sample.overflow
        with torch.autocast(embeddings.device.type, enabled=False):
            unit = F.normalize(embeddings.to(self.rows.dtype))
        unit = self._ranks.gather_shared(unit, len(sample.target))
        if not self._ranks.alone:
            sample = sample.within(self._part)
        loss: torch.Tensor = _Loss.apply(unit, self, sample)
        return loss

    def gradient_norm(self) -> torch.Tensor:
        """Euclidean norm (scalar tensor) of the centres' gradient that is pending."""
        softmax, upstream = self._waiting()
        norm = softmax.gradient_norm()
        norm = norm if self._ranks.alone else self._ranks.sum_(norm.square()).sqrt()
        return norm * upstream.abs()

    @torch.no_grad()
    def step(self, lr: float, coefficient: float | torch.Tensor = 1.0) -> None:
        """Update the rows of the last backward pass by its gradient times `coefficient`, which clips or unscales it.

        Raises:
            RuntimeError: there was no backward pass since the last step.
        """
        softmax, upstream = self._waiting()
        self._pending = None
        factor = upstream * coefficient
        for block, gradient in softmax.gradients():
            self.optimizer.update(self.rows, block.rows, gradient, lr, factor, block.hidden)

    def skip(self) -> None:
        """Forget the pending gradient, e.g. where it is not finite."""
        self._pending = None

    def _waiting(self) -> tuple[ChunkedSoftmax, torch.Tensor]:
        if self._pending is None:
            raise RuntimeError("there is no gradient of class centres: call backward() on the loss first, once a step")
        return self._pending

    @property
    def scratch_bytes(self) -> int:
        """Memory of steps that is kept for the next one."""
        return self._scratch.nbytes

    def _most_kept(self) -> int:
        if self.keep_bytes is not None:
            return self.keep_bytes
        return _KEEP_BYTES.get(self.rows.device.type, _KEEP_BYTES["cpu"])

    def class_ids(self, sample: Sample) -> torch.Tensor:
        """Ids (S,) int64 on the CPU of all classes of a sample, the batch's own first."""
        return self._sampler.class_ids(sample)

    def centres(self) -> torch.Tensor:
        """(C, D) a copy of the centres of all ranks, by class."""
        order, rows = self._sampler.row_of, self._ranks.gather(self.rows, self.num_classes)
        return rows.clone() if order is None else rows[order.to(rows.device)]

    def get_extra_state(self) -> torch.Tensor:
        """What buffers do not hold, the sampler and the count, as bytes: so `state_dict` is tensors alone."""
        return torch.cat([torch.tensor([self.overflow_steps]).view(torch.uint8), self._sampler.state()])

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Take up `get_extra_state`, so that a loaded head draws on where the saved one stopped."""
        state = state.cpu()
        self.overflow_steps = int(state[:8].clone().view(torch.int64))
        self._sampler.load(state[8:])

    def extra_repr(self) -> str:
        return (
            f"embed_dim={self.embed_dim}, num_classes={self.num_classes}, kind={self.kind}, scale={self.scale}, "
            f"margin={self.margin}, sample_rate={self.sample_rate}, sampler={self._sampler.kind}, "
            f"update={self.optimizer.kind}"
        )


class _Loss(torch.autograd.Function):
    """The loss with its gradient by the unit embeddings; what the centres need is left with the head."""

    @staticmethod
    def forward(ctx: Any, unit: torch.Tensor, head: FastPartialFC, sample: Sample) -> torch.Tensor:
        wanted = ctx.needs_input_grad[0]
        # A loss that is only looked at leaves the memory of one that is waiting for its backward pass alone.
        softmax = ChunkedSoftmax(
            unit, sample, head.rows, head.kind, head.scale, head.margin,
            scratch=head._scratch if wanted else Scratch(), keep_bytes=head._most_kept(), ranks=head._ranks,
        )  # fmt: skip
        if wanted:
            head._latest, ctx.head, ctx.softmax = softmax, head, softmax
        return softmax.loss

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (factor,) = upstream
        head, softmax = ctx.head, ctx.softmax
        if head._latest is not softmax or head._pending is not None:
            raise RuntimeError("only the last loss can be differentiated, and only once: step() or skip() comes next")
        head._pending = (softmax, factor)
        return softmax.unit_gradient * factor, None, None


def _first_rows(
    part: Part, dim: int, std: float, generator: torch.Generator, row_of: torch.Tensor | None
) -> torch.Tensor:
    """Normal rows `part` of (C, D), class c in row `row_of[c]`: few are held at once besides those that are kept."""
    rows = torch.empty(len(part), dim)
    for first, drawn in normal_rows(part.of, dim, std, generator):
        places = torch.arange(first, first + len(drawn)) if row_of is None else row_of[first : first + len(drawn)]
        places = places - part.start
        inside = (places >= 0) & (places < len(part))
        rows[places[inside]] = drawn[inside]
    return rows
