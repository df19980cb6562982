"""The loss of the CLIP teacher: captions, views and classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

Contrast = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # open_clip.ClipLoss


@dataclass(frozen=True)
class Weights:
    """Of the three terms; a term of weight 0 is not computed."""

    captions: float
    views: float
    classes: float


def teacher_loss(
    weights: Weights,
    contrast: Contrast,
    first: torch.Tensor,
    second: torch.Tensor,
    captioned: torch.Tensor,
    text: Callable[[], torch.Tensor],
    scale: torch.Tensor,
    classified: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """The weighted sum of three terms (scalar), each over the batch alone but for the last.

    * captions: image against caption (Radford et al. 2021), the first view of what has a caption.
    * views: one view against the other (SLIP, Mu et al. 2022), which says which document, not only which kind.
    * classes: each document a class against all others, siblings too, at every step, where a batch seldom holds two
      siblings: instance discrimination with a parametric softmax (Dosovitskiy et al. 2014, arXiv 1406.6909).

    Args:
        contrast: (B, D), (B, D), scale -> symmetric cross-entropy of a batch.
        first, second: (B, D) rows of two views of the batch's classes.
        captioned: (B,) bool.
        text: makes the rows (N, D) of the captions of the N captioned images.
        scale: of the contrasts' cosines.
        classified: rows (2B, D), first views then second, -> mean loss of the class softmax.
    """
    unit_first, unit_second = functional.normalize(first, dim=1), functional.normalize(second, dim=1)
    loss = torch.zeros(())
    if weights.captions and captioned.any():
        loss = loss + weights.captions * contrast(unit_first[captioned], functional.normalize(text(), dim=1), scale)
    if weights.views:
        loss = loss + weights.views * contrast(unit_first, unit_second, scale)
    if weights.classes:
        loss = loss + weights.classes * classified(torch.cat([first, second]))
    return loss
