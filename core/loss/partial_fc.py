"""PartialFC: the margin softmax over the batch's own classes and a random sample of the others."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

from core.device import CPU, send
from core.loss.class_sampling import ClassSampler
from core.loss.margin import apply_margin, check_labels, check_margin

# Seeds of the generators used when none is passed; unequal, so that centres and samples are independent.
SAMPLING_SEED, INIT_SEED = 1, 2
# Torch draws normal numbers sixteen at a time, and fewer in another way.
_DRAWN_TOGETHER = 16
_DRAWN_ROWS = 256 * _DRAWN_TOGETHER


class PartialFC(nn.Module):
    """Class centres and the margin softmax over a sample of them (An et al. 2022, arXiv 2203.15565, section 3).

    Each step uses all classes of the batch and, up to ``int(sample_rate * num_classes)``, classes drawn
    uniformly from the rest. A batch with more classes than that keeps its own classes and draws none;
    `overflow_steps` counts these. At sample rate 1 this is the full margin softmax and nothing is drawn.

    The gradient of `weight` is dense, with zeros for classes left out, as in the record: a stateful optimiser
    still moves those rows by their momentum and weight decay.

    Args:
        embed_dim: D.
        num_classes: C.
        kind, scale, margin: see `core.loss.margin.margin_logits`.
        sample_rate: share of the classes in a step, in (0, 1].
        sampler: one of `core.loss.class_sampling.SAMPLERS`; "uniform", as documented, takes the top of a random
            priority of every class.
        generator: CPU generator that samples draw from, and nothing else; a private one of fixed seed by default.
        init_generator: CPU generator for the initial centres; likewise.
        init_std: standard deviation of the initial centres.

    Attributes:
        weight: (C, D) class centres, not normalised.
        num_sampled: classes in a step that does not overflow.
        overflow_steps: steps so far whose batch had more classes than `num_sampled`.

    Raises:
        ValueError: sizes, rate, kind, scale or margin out of range, or a generator that is not on the CPU.
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
        sampler: str = "uniform",
        generator: torch.Generator | None = None,
        init_generator: torch.Generator | None = None,
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        self.num_sampled = check_head(embed_dim, num_classes, kind, scale, margin, sample_rate, init_std)
        self.embed_dim, self.num_classes = embed_dim, num_classes
        self.kind, self.scale, self.margin, self.sample_rate = kind, scale, margin, sample_rate
        self.overflow_steps = 0
        self._generator = cpu_generator(generator, SAMPLING_SEED)
        self._windows = (
            ClassSampler(sampler, num_classes, self.num_sampled, self._generator) if sampler != "uniform" else None
        )
        init = cpu_generator(init_generator, INIT_SEED)
        self.weight = nn.Parameter(self._first_weight(init_std, init))

    def _first_weight(self, std: float, generator: torch.Generator) -> torch.Tensor:
        return torch.empty(self.num_classes, self.embed_dim).normal_(0, std, generator=generator)

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean loss, a scalar of at least float32.

        Under autocast the product of embeddings and centres runs in the lower precision; normalisation, margin
        and softmax do not.

        Args:
            embeddings: (B, D) floating, of any norm, any B >= 1.
            labels: (B,) int64 in [0, C); labels on the CPU spare an accelerator from waiting for their check.

        Raises:
            ValueError: shapes or types that do not fit, labels out of range.
        """
        check_batch(embeddings, labels, self.embed_dim, self.num_classes)
        if self.num_sampled == self.num_classes:
            target = send(labels, self.weight.device)
            centres: torch.Tensor = self.weight
        else:
            sampled = self._sample(labels)
            self.overflow_steps += len(sampled) > self.num_sampled
            target = torch.searchsorted(sampled, send(labels, sampled.device).contiguous())
            centres = self.weight.index_select(0, sampled)
        cosine = self._cosine(embeddings, centres)
        with torch.autocast(cosine.device.type, enabled=False):
            return F.cross_entropy(apply_margin(cosine, target, self.kind, self.scale, self.margin), target)

    def sampled_classes(self, labels: torch.Tensor) -> torch.Tensor:
        """Sorted int64 ids (S,) of the classes that `forward` would use now for labels (B,); takes the draw itself.

        At sample rate 1 all ids, without a draw. Raises `ValueError` for labels out of range or not int64.
        """
        check_labels(labels, self.num_classes)
        if self.num_sampled == self.num_classes:
            return torch.arange(self.num_classes, device=self.weight.device)
        return self._sample(labels)

    def _sample(self, labels: torch.Tensor) -> torch.Tensor:
        device = self.weight.device
        if self._windows is not None:
            return send(self._windows.class_ids(self._windows.draw(labels, CPU)).sort().values, device)
        if len(labels) > self.num_sampled:  # else there cannot be too many classes, and no count is waited for
            positives = labels.unique()
            if len(positives) > self.num_sampled:
                return send(positives, device)
        priority = torch.rand(self.num_classes, generator=self._generator)
        priority[labels.cpu()] = 2.0  # above any draw
        priority = send(priority, device)
        return priority.topk(self.num_sampled, sorted=False).indices.sort().values

    def sampling_state(self) -> torch.Tensor:
        """(N,) uint8: what draws go on from and `overflow_steps`, which `state_dict`, the centres alone, leaves out."""
        draws = self._generator.get_state() if self._windows is None else self._windows.state()
        return torch.cat([torch.tensor([self.overflow_steps]).view(torch.uint8), draws])

    def load_sampling(self, state: torch.Tensor) -> None:
        """Go on from `sampling_state`."""
        self.overflow_steps = int(state[:8].clone().view(torch.int64))
        if self._windows is None:
            self._generator.set_state(state[8:].clone())
        else:
            self._windows.load(state[8:])

    def _cosine(self, embeddings: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
        """(B, S) cosines; only the product is left to an active autocast."""
        dtype = torch.float64 if self.weight.dtype == torch.float64 else torch.float32
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings = F.normalize(embeddings.to(dtype))
            centres = F.normalize(centres.to(dtype))
        return F.linear(embeddings, centres).to(dtype).clamp(-1, 1)

    def extra_repr(self) -> str:
        return (
            f"embed_dim={self.embed_dim}, num_classes={self.num_classes}, kind={self.kind}, "
            f"scale={self.scale}, margin={self.margin}, sample_rate={self.sample_rate}"
        )


def check_head(
    embed_dim: int, num_classes: int, kind: str, scale: float, margin: float, sample_rate: float, init_std: float
) -> int:
    """How many classes a step samples; `ValueError` for sizes, rate, kind, scale or margin out of range."""
    check_margin(kind, scale, margin)
    if embed_dim < 1 or num_classes < 1:
        raise ValueError(f"embed_dim and num_classes must be positive, not {embed_dim} and {num_classes}")
    if not 0 < sample_rate <= 1:
        raise ValueError(f"sample_rate must be in (0, 1], not {sample_rate}")
    if not init_std > 0:
        raise ValueError(f"init_std must be positive, not {init_std}")
    if (sampled := int(sample_rate * num_classes)) < 1:
        raise ValueError(f"sample_rate {sample_rate} of {num_classes} classes is less than one; raise it")
    return sampled


def normal_rows(classes: int, dim: int, std: float, generator: torch.Generator) -> Iterator[tuple[int, torch.Tensor]]:
    """The rows of a normal (classes, dim) as one draw would give them, some at a time, each part with its first row."""
    starts = list(range(0, classes, _DRAWN_ROWS))
    if len(starts) > 1 and (classes - starts[-1]) * dim < _DRAWN_TOGETHER:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], classes], strict=True):
        yield start, torch.empty(stop - start, dim).normal_(0, std, generator=generator)


def check_batch(embeddings: torch.Tensor, labels: torch.Tensor, embed_dim: int, num_classes: int) -> None:
    """Raise `ValueError` unless embeddings are floating (B, embed_dim), B >= 1, and labels (B,) int64 in range."""
    if embeddings.ndim != 2 or embeddings.shape[1] != embed_dim or not len(embeddings):
        raise ValueError(f"embeddings must have shape (B, {embed_dim}), not {tuple(embeddings.shape)}")
    if not embeddings.is_floating_point():
        raise ValueError(f"embeddings must be floating, not {embeddings.dtype}")
    if labels.shape != embeddings.shape[:1]:
        raise ValueError(f"labels must have shape ({len(embeddings)},), not {tuple(labels.shape)}")
    check_labels(labels, num_classes)


def cpu_generator(generator: torch.Generator | None, seed: int) -> torch.Generator:
    if generator is None:
        return torch.Generator().manual_seed(seed)
    if generator.device.type != "cpu":
        raise ValueError(f"generators must be on the CPU, so that every device draws the same, not {generator.device}")
    return generator
