"""From an embedder and captures of held-out identities to the metrics of verification."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from core.config import FPRS
from core.data.corpus_images import Captures
from core.data.rendering import Progress
from core.device import CPU
from core.errors import RunFailure
from core.support import fpr_name, supported_fpr
from core.verification import MOST_POSITIVES, Tick, Verification, hardest_pairs, one_shot_top1, positive_pairs, verify

_BATCH = 128
_KEPT_SHARE = 2 * FPRS[-1]  # of all negative pairs, to resample identities at every FPR
# Of identities so few that the highest FPR is read: those that look alike may be drawn several times each, and a
# threshold then lies far beyond what the FPR takes as a rule. At lower ones the share above holds twenty times that.
_KEPT_OF_FEW = 250_000


@torch.no_grad()
def embed(
    embedder: nn.Module, images: np.ndarray, device: torch.device, progress: Progress | None = None
) -> torch.Tensor:
    """Embeddings (M, D) float32 of images (M, S, S, 3) uint8, in eval mode; the mode is put back after."""
    was_training = embedder.training
    embedder.eval()
    rows = []
    for start in range(0, len(images), _BATCH):
        batch = torch.from_numpy(images[start : start + _BATCH]).to(device)
        # NHWC memory seen as NCHW is channels_last already.
        rows.append(embedder(batch.permute(0, 3, 1, 2).float().div_(255)).float().cpu())
        if progress:
            progress("embedding captures", min(start + _BATCH, len(images)), len(images))
    embedder.train(was_training)
    return torch.cat(rows)


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one set of captures, with what they were computed from; `device` is where pairs are compared."""

    metrics: dict[str, float]
    verification: Verification
    embeddings: torch.Tensor
    captures: Captures
    device: torch.device = CPU

    def counts(self) -> dict[str, Any]:
        """How much evidence there is: identities, pairs, false positives allowed at each FPR."""
        verification = self.verification
        return {
            "identities": self.captures.identity_count,
            "captures": len(self.captures.identities),
            "positive_pairs": verification.positives,
            "negative_pairs": verification.negatives,
            "identity_pairs": verification.identity_pairs,
            "allowed": {fpr_name(fpr): verification.allowed[fpr] for fpr in FPRS},
        }

    def scores(self, progress: Progress | None = None) -> dict[str, np.ndarray]:
        """ROC, positive scores, hardest negatives and captures (K,) by identity, for intervals over identities.

        Identities are numbered 0 to K - 1 in the order of their ids.
        """
        roc = {
            "roc_fpr": np.asarray(self.verification.roc_fpr, np.float32),
            "roc_tpr": np.asarray(self.verification.roc_tpr, np.float32),
        }
        if self.verification.positives > MOST_POSITIVES:
            return roc  # a few identities with very many captures: their pairs would fill the disk
        captures = np.unique(self.captures.identities, return_counts=True)[1]
        count, lowest = self.verification.negatives, supported_fpr(len(captures))
        few = lowest is None or lowest == FPRS[-1]
        keep = max(1, int(count * _KEPT_SHARE), min(count, _KEPT_OF_FEW) if few else 0)
        positives, positive_ids = positive_pairs(self.embeddings, self.captures.identities)
        negatives, left, right = hardest_pairs(
            self.embeddings, self.captures.identities, keep, _tick("ranking pairs", progress), self.device
        )
        return {
            **roc,
            "positive_scores": np.asarray(positives, np.float32),
            "positive_ids": np.asarray(positive_ids, np.int32),
            "negative_scores": np.asarray(negatives, np.float32),
            "negative_i": np.asarray(left, np.int32),
            "negative_j": np.asarray(right, np.int32),
            "captures": captures.astype(np.int32),
        }


def _tick(what: str, progress: Progress | None) -> Tick | None:
    return partial(progress, what) if progress else None


def evaluate(
    embedder: nn.Module, captures: Captures, device: torch.device, progress: Progress | None = None
) -> Evaluation:
    """Verification over all pairs, and top-1 of one-shot registration; `progress` is told how far it is.

    Raises:
        RunFailure: `diverged`, where the embedder gives no directions any more.
    """
    embeddings = embed(embedder, captures.images, device, progress)
    # Loss and gradient were looked at; the last step's weights were not.
    lost = int((~(embeddings.isfinite().all(1) & embeddings.any(1))).sum())
    if lost:
        told = f"{lost} of {len(embeddings)} captures have embeddings that are zero, infinite or no number"
        raise RunFailure("diverged", told)
    return judge(embeddings, captures, progress, device)


def judge(
    embeddings: torch.Tensor,
    captures: Captures,
    progress: Progress | None = None,
    device: torch.device = CPU,
) -> Evaluation:
    """The evaluation of embeddings (M, D) of the captures, whoever made them; pairs are compared on `device`.

    One-shot registration: the first capture of each identity is registered, all others are looked up.
    """
    verification = verify(embeddings, captures.identities, FPRS, _tick("comparing pairs", progress), device)
    ids = captures.identities
    registered = np.zeros(len(ids), bool)
    registered[np.unique(ids, return_index=True)[1]] = True
    top1 = one_shot_top1(embeddings[registered], ids[registered], embeddings[~registered], ids[~registered])
    metrics = {f"tpr@{fpr_name(fpr)}": verification.tpr[fpr] for fpr in FPRS}
    metrics |= {"auroc": verification.auroc, "top1": top1}
    return Evaluation(metrics, verification, embeddings, captures, device)
