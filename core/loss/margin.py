"""Margin softmax losses on cosines: the target's logit is lowered before the softmax.

Two ArcFaces exist. `arcface` is the paper's, differentiated exactly and guarded where theta + m passes pi.
`arcface_straight_through` is what the record's library computes: the same value without the guard, found
outside autograd, so that the target's logit has derivative 1 by its cosine everywhere.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from core.errors import nearest

KINDS = ("softmax", "cosface", "arcface", "arcface_straight_through")


def check_margin(kind: str, scale: float, margin: float) -> None:
    """Raise `ValueError` unless the loss is a known one with a usable scale and margin."""
    if kind not in KINDS:
        raise ValueError(f"unknown margin loss '{kind}'{nearest(kind, KINDS)}")
    if not (scale > 0 and math.isfinite(scale)):
        raise ValueError(f"scale must be positive and finite, not {scale}")
    if not (margin >= 0 and math.isfinite(margin)):
        raise ValueError(f"margin must be finite and at least 0, not {margin}")
    if kind.startswith("arcface") and margin > math.pi:
        raise ValueError(f"an ArcFace margin is an angle in radians, at most pi, not {margin}")


def margin_logits(cosine: torch.Tensor, target: torch.Tensor, kind: str, scale: float, margin: float) -> torch.Tensor:
    """Scaled logits with the margin at each row's target; half precision is computed in float32.

    With c the target's cosine and theta = arccos(c), the target's logit over `scale` is

    * ``softmax``: c. The margin is not used, whatever its value.
    * ``cosface``: c - m (Wang et al. 2018, arXiv 1801.09414, eq. 4).
    * ``arcface``: cos(theta + m) while theta + m <= pi, else c - m sin(m), which keeps it falling in theta
      (Deng et al. 2019, arXiv 1801.07698, eq. 3; the guard is that of its released code). The slope by c is
      unbounded near c = +-1; at exactly +-1 the finite part of it is used.
    * ``arcface_straight_through``: cos(theta + m) everywhere, with slope 1 by c.

    At margin 0 every kind is `scale * cosine`.

    Args:
        cosine: (B, C) floating, in [-1, 1].
        target: (B,) int64, class of each row in [0, C).
        margin: cosine units (cosface) or radians (arcface).

    Returns:
        (B, C) float32, or float64 for float64 cosines.

    Raises:
        ValueError: unknown kind, unusable scale or margin, shapes or types that do not fit, targets out of range.
    """
    check_margin(kind, scale, margin)
    _check_tensors(cosine, target)
    return apply_margin(cosine, target, kind, scale, margin)


def margin_softmax_loss(
    cosine: torch.Tensor, target: torch.Tensor, kind: str, scale: float, margin: float
) -> torch.Tensor:
    """Mean cross-entropy (scalar) of `margin_logits`, same arguments and errors."""
    return F.cross_entropy(margin_logits(cosine, target, kind, scale, margin), target)


def plateau_loss(kind: str, scale: float, margin: float, classes: int) -> float:
    """The loss where embeddings and centres are orthogonal, so that nothing is told apart: where a slow start lingers.

    Args:
        classes: that a batch is compared with, the sampled ones of PartialFC.
    """
    check_margin(kind, scale, margin)
    zero = torch.zeros(1, 1, dtype=torch.float64)
    shift = 0.0 if kind == "softmax" else scale * float(margin_shift(zero, kind, margin))
    return math.log(math.exp(shift) + classes - 1) - shift


def apply_margin(cosine: torch.Tensor, target: torch.Tensor, kind: str, scale: float, margin: float) -> torch.Tensor:
    """`margin_logits` of arguments already checked: a check of targets makes an accelerator wait."""
    cosine = cosine if cosine.dtype == torch.float64 else cosine.float()
    logits = cosine * scale
    if kind == "softmax" or margin == 0:
        return logits
    column = target[:, None]
    # Adding to the product, not overwriting it, leaves its gradient to pass through without a copy of (B, C).
    return logits.scatter_add_(1, column, margin_shift(cosine.gather(1, column), kind, margin) * scale)


def margin_shift(cosine: torch.Tensor, kind: str, margin: float) -> torch.Tensor:
    """What the margin adds to the targets' cosines (B, 1); arguments as of `margin_logits`, and unchecked."""
    if kind == "cosface":
        return torch.full_like(cosine, -margin)
    if kind == "arcface_straight_through":
        with torch.no_grad():
            return _cos_of_sum(cosine, margin) - cosine
    guarded = torch.where(cosine >= -math.cos(margin), _cos_of_sum(cosine, margin), cosine - margin * math.sin(margin))
    return guarded - cosine


def _cos_of_sum(cosine: torch.Tensor, margin: float) -> torch.Tensor:
    """cos(arccos(cosine) + margin), by the addition theorem."""
    # (1 - c)(1 + c) does not cancel near 1, and the floor keeps the root's slope finite at cosines of +-1.
    sine = ((1 - cosine) * (1 + cosine)).clamp(min=torch.finfo(cosine.dtype).tiny).sqrt()
    return cosine * math.cos(margin) - sine * math.sin(margin)


def _check_tensors(cosine: torch.Tensor, target: torch.Tensor) -> None:
    if cosine.ndim != 2 or 0 in cosine.shape or not cosine.is_floating_point():
        raise ValueError(f"cosine must be floating of shape (B, C), not {cosine.dtype} {tuple(cosine.shape)}")
    if target.shape != cosine.shape[:1]:
        raise ValueError(f"target must have shape ({len(cosine)},) to go with cosine, not {tuple(target.shape)}")
    check_labels(target, cosine.shape[1], "target")


def check_labels(labels: torch.Tensor, num_classes: int, name: str = "labels") -> None:
    """Raise `ValueError` unless `labels` are int64 in [0, num_classes)."""
    if labels.dtype != torch.int64:
        raise ValueError(f"{name} must be int64 class ids, not {labels.dtype}")
    low, high = torch.stack(torch.aminmax(labels)).tolist()
    if low < 0 or high >= num_classes:
        raise ValueError(f"{name} must be in [0, {num_classes}), found {low} to {high}")
