"""Distillation of a teacher's image features into the embedder."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from core.errors import nearest

KINDS = ("none", "kld", "cosine", "similarity")
NEEDS_PROJECTION = frozenset({"kld", "cosine"})  # kinds whose student rows are as wide as the teacher's

LEAST_SIMILAR = 3  # images that `similarity` compares: with two, each has but one other and nothing to compare


def distillation_loss(student: torch.Tensor, teacher: torch.Tensor, kind: str, temperature: float) -> torch.Tensor:
    """Distance of the student's rows from the teacher's (scalar, at least float32), not weighted.

    With s, t the rows scaled to unit length, tau the temperature and D the teacher's width:

    * ``none``: 0.
    * ``kld``: mean over rows of KL(softmax(t / tau) || softmax(s / tau)) over the D components: the record's
      KLDivLoss(batchmean, log_target). At tau = 1 it is ||s - t||^2 / 2D to three digits, hence very small.
    * ``cosine``: mean of 1 - cos(s, t); half the squared distance of unit features (CLIP-KD's feature
      distillation, Yang et al. 2024, arXiv 2307.12732, up to a constant). The temperature is not used.
    * ``similarity``: mean over rows of KL between the softmaxes of the batch's image-image cosines / tau, the
      teacher's first, each image's cosine with itself left out (in the manner of TinyCLIP's affinity
      mimicking, Wu et al. 2023, arXiv 2309.12314, section 3.1, without the text tower).

    Gradients flow to the student only; an active autocast does not lower the precision.

    Args:
        student: (B, D) floating; for ``similarity`` (B, any width).
        teacher: (B, D) floating.

    Raises:
        ValueError: unknown kind, temperature not positive, shapes that do not fit, or fewer rows than `LEAST_SIMILAR`
            for ``similarity``.
    """
    _check(student, teacher, kind, temperature)
    dtype = torch.float64 if student.dtype == torch.float64 else torch.float32
    if kind == "none":
        return torch.zeros((), dtype=dtype, device=student.device)
    with torch.autocast(student.device.type, enabled=False):
        s = F.normalize(student.to(dtype))
        t = F.normalize(teacher.detach().to(device=student.device, dtype=dtype))
        if kind == "cosine":
            return 1 - (s * t).sum(1).mean()
        if kind == "similarity":
            s, t = _others(s @ s.T), _others(t @ t.T)
        return F.kl_div(
            F.log_softmax(s / temperature, 1), F.log_softmax(t / temperature, 1), reduction="batchmean", log_target=True
        )


def _others(square: torch.Tensor) -> torch.Tensor:
    """(B, B) without its diagonal, as (B, B - 1)."""
    rows = len(square)
    # Past its first entry, the flattened matrix has a diagonal entry at the end of every rows + 1.
    return square.flatten()[1:].view(rows - 1, rows + 1)[:, :-1].reshape(rows, rows - 1)


def _check(student: torch.Tensor, teacher: torch.Tensor, kind: str, temperature: float) -> None:
    if kind not in KINDS:
        raise ValueError(f"unknown distillation '{kind}'{nearest(kind, KINDS)}")
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature must be positive and finite, not {temperature}")
    shapes = f"student {tuple(student.shape)}, teacher {tuple(teacher.shape)}"
    if student.ndim != 2 or teacher.ndim != 2 or len(student) != len(teacher) or not len(student):
        raise ValueError(f"distillation needs as many rows of features on both sides: {shapes}")
    if kind in NEEDS_PROJECTION and student.shape != teacher.shape:
        raise ValueError(f"'{kind}' needs student features projected to the teacher's width: {shapes}")
    if kind == "similarity" and len(student) < LEAST_SIMILAR:
        told = f"needs at least {LEAST_SIMILAR}, not {len(student)}"
        raise ValueError(f"'similarity' compares images of a batch and {told}")
