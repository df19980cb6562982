"""Verification over all pairs: TPR at a FPR, AUROC, exact counts in bounded memory, and one-shot top-1.

Scores are the fixed-point cosines of `core.pair_scores`, the same for a pair whatever the order, block size or number
of threads; counts per distance bin give every rate at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from core import pair_scores as scoring
from core.device import CPU
from core.pair_scores import Ids, Rows

MOST_POSITIVES = 50_000_000

Tick = Callable[[int, int], None]  # rows of pairs done, of how many


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts (2**22 + 1,) int64 of same-identity and different-identity pairs by distance bin; parts add up."""

    positives: np.ndarray
    negatives: np.ndarray

    def __add__(self, other: Histogram) -> Histogram:
        return Histogram(self.positives + other.positives, self.negatives + other.negatives)


@dataclass(frozen=True, eq=False)
class Verification:
    """Rates over all pairs, by FPR where they depend on one.

    Attributes:
        tpr: share of positives above the threshold: the largest with an empirical FPR <= the one asked for.
        threshold: a cosine; `score > threshold` passes exactly the pairs counted by `tpr`. It is the upper
            edge of the bin of the (allowed + 1)-th largest negative, at most 4.8e-7 above that.
        auroc: P(positive > negative) + P(positive = negative) / 2.
        positives, negatives: numbers of pairs.
        allowed: negatives that may pass, floor(fpr * negatives).
        ties: positives in the threshold's own bin, counted as not passing; (tpr, tpr + ties / positives) is
            where the TPR lies if ties are broken at random.
        identity_pairs: numbers of pairs of different identities, the units behind the negatives.
        roc_fpr, roc_tpr: (121,) float64, the ROC at FPRs spaced evenly in the logarithm from 1e-6 to 1.
    """

    tpr: dict[float, float]
    threshold: dict[float, float]
    auroc: float
    positives: int
    negatives: int
    allowed: dict[float, int]
    ties: dict[float, int]
    identity_pairs: int
    roc_fpr: np.ndarray
    roc_tpr: np.ndarray


def verify(
    embeddings: Rows,
    identities: Ids,
    fprs: Sequence[float] = (1e-4, 1e-3, 1e-2),
    tick: Tick | None = None,
    device: torch.device = CPU,
) -> Verification:
    """Judge all N (N - 1) / 2 pairs of embeddings by cosine.

    Args:
        embeddings: (N, D), of any norm but zero.
        identities: (N,) integers, equal for captures of one identity.
        fprs: false positive rates in (0, 1).
        tick: told how far it is.
        device: where pairs are compared, with the same counts everywhere.

    Raises:
        ValueError: shapes that do not fit, NaN, infinite or zero rows, fewer than two identities, no identity
            with two captures, a FPR outside (0, 1).
    """
    check_fprs(fprs)
    counts = histogram(embeddings, identities, tick=tick, device=device)
    count = len(np.unique(scoring.identity_array(identities, len(embeddings))))
    return summarise(counts, count * (count - 1) // 2, fprs)


def histogram(
    embeddings: Rows,
    identities: Ids,
    rows: range | None = None,
    tick: Tick | None = None,
    device: torch.device = CPU,
) -> Histogram:
    """Counts of the pairs (i, j), i < j, in order of identity; `rows` limits i, for work in parts.

    Histograms over ranges that partition `range(N)` add up to the whole. Same arguments and errors as `verify`.
    """
    unit, ids, _ = scoring.in_identity_order(embeddings, identities, device)
    positives, negatives = (torch.zeros(scoring.BINS + 2, dtype=torch.int64, device=device) for _ in range(2))
    for start, strip in scoring.strips(unit, range(len(unit)) if rows is None else rows):
        near, same = scoring.same_identity(ids, start, strip)
        scoring.add_counts(near[same], positives)
        near.masked_fill_(same, scoring.LEFT_OUT)
        scoring.add_counts(strip.flatten(), negatives)
        if tick:
            tick(start + len(strip), len(unit))
    return Histogram(positives[:-1].cpu().numpy(), negatives[:-1].cpu().numpy())


def summarise(counts: Histogram, identity_pairs: int, fprs: Sequence[float]) -> Verification:
    """Rates from counts; `ValueError` for a FPR outside (0, 1) or counts without positives or negatives."""
    check_fprs(fprs)
    used = np.flatnonzero(counts.positives | counts.negatives)
    positives, negatives = counts.positives[used], counts.negatives[used]
    # Positives in bins nearer than each used one, last of all in any bin; negatives as near or nearer.
    nearer, within = np.concatenate([[0], np.cumsum(positives)]), np.cumsum(negatives)
    total, total_negatives = int(positives.sum()), int(negatives.sum())
    if not total or not total_negatives:
        raise ValueError(f"verification needs pairs of both kinds, not {total} positive, {total_negatives} negative")
    asked = np.asarray(fprs, np.float64)
    allowed = np.minimum(np.floor(asked * total_negatives + 1e-9).astype(np.int64), total_negatives - 1)
    cut = np.searchsorted(within, allowed + 1)  # the used bin of the first negative that is not allowed
    roc_fpr = np.logspace(-6, 0, 121)
    roc_tpr = nearer[np.searchsorted(within, np.floor(roc_fpr * total_negatives + 1e-9) + 1)] / total
    return Verification(
        tpr=dict(zip(fprs, (nearer[cut] / total).tolist(), strict=True)),
        threshold=dict(zip(fprs, (1 - (used[cut] - 0.5) / scoring.HALF).tolist(), strict=True)),
        auroc=float(positives @ (total_negatives - within + negatives / 2) / total / total_negatives),
        positives=total,
        negatives=total_negatives,
        allowed=dict(zip(fprs, allowed.tolist(), strict=True)),
        ties=dict(zip(fprs, positives[cut].tolist(), strict=True)),
        identity_pairs=identity_pairs,
        roc_fpr=roc_fpr,
        roc_tpr=roc_tpr,
    )


def hardest_pairs(
    embeddings: Rows, identities: Ids, keep: int, tick: Tick | None = None, device: torch.device = CPU
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `keep` most similar pairs of different identities, or all if there are fewer; the rest as `verify`.

    Returns:
        scores (P,) float32 in falling order, the fixed-point cosines that `verify` counts; id_i and id_j (P,) int32,
        id_i < id_j, indices into the sorted distinct identities. Ties are kept in order of (id_i, id_j).

    Raises:
        ValueError: as `verify`, or `keep` below 1.
    """
    if keep < 1:
        raise ValueError(f"keep at least one pair, not {keep}")
    unit, ids, count = scoring.in_identity_order(embeddings, identities, device)
    # One int64 a pair, which sorts by bin, then by identities: 23 bits of bin leave 20 for each identity.
    if count > 2**20:
        raise ValueError(f"at most {2**20} identities can be ranked, not {count}")
    found, held, cut = [np.empty(0, np.int64)], 0, scoring.BINS
    for start, strip in scoring.strips(unit, range(len(unit))):
        near, same = scoring.same_identity(ids, start, strip)
        near.masked_fill_(same, scoring.LEFT_OUT)
        for offset in range(0, strip.shape[1], width := max(1, scoring.tile_of(device) // len(strip))):
            tile = strip[:, offset : offset + width]
            row, column = torch.nonzero(tile <= cut, as_tuple=True)
            pair = ids[start + row] * count + ids[start + offset + column]
            found.append((tile[row, column].long() * count**2 + pair).cpu().numpy())
            held += len(row)
            if held > 2 * keep + scoring.TILE:
                found = [np.partition(np.concatenate(found), keep - 1)[:keep]]
                held, cut = keep, int(found[0][-1]) // count**2
        if tick:
            tick(start + len(strip), len(unit))
    key = np.sort(np.concatenate(found))[:keep]
    bins, pairs = np.divmod(key, count**2)
    return scoring.cosines(bins), (pairs // count).astype(np.int32), (pairs % count).astype(np.int32)


def positive_pairs(embeddings: Rows, identities: Ids) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of the same identity.

    Returns:
        scores (P,) float32, the fixed-point cosines that `verify` counts; id (P,) int32, indices into the
        sorted distinct identities; in order of identity, then of falling score.

    Raises:
        ValueError: as `verify`, or more than 50 million pairs.
    """
    unit, ids, _ = scoring.in_identity_order(embeddings, identities)
    captures = torch.bincount(ids)
    pairs = int((captures * (captures - 1) // 2).sum())
    if pairs > MOST_POSITIVES:
        raise ValueError(f"{pairs} positive pairs are too many to list (at most {MOST_POSITIVES}); use `verify`")
    found, owners = [], []
    for start, strip in scoring.strips(unit, range(len(unit)), ids):
        near, same = scoring.same_identity(ids, start, strip)
        same &= near != scoring.LEFT_OUT
        found.append(near[same])
        owners.append(ids[start : start + len(strip)].repeat_interleave(same.sum(1)))
    bins, owner = torch.cat(found).numpy(), torch.cat(owners).numpy()
    order = np.lexsort((bins, owner))
    return scoring.cosines(bins[order]), owner[order].astype(np.int32)


def one_shot_top1(gallery: Rows, gallery_ids: Ids, queries: Rows, query_ids: Ids) -> float:
    """Share of queries (M, D) whose most similar gallery row (K, D) has their identity; a tie with another is a miss.

    Raises:
        ValueError: shapes that do not fit, NaN, infinite or zero rows, no queries, or a query whose identity
            is not in the gallery.
    """
    known, own = scoring.unit_rows(gallery), scoring.identity_array(gallery_ids, len(gallery))
    asked, wanted = scoring.unit_rows(queries), scoring.identity_array(query_ids, len(queries))
    if known.shape[1] != asked.shape[1]:
        raise ValueError(f"gallery rows have {known.shape[1]} values and queries {asked.shape[1]}")
    if missing := set(wanted.tolist()) - set(own.tolist()):
        raise ValueError(f"{len(missing)} identities of queries are not in the gallery, e.g. {min(missing)}")
    right, step = 0, max(1, scoring.TILE // len(known))
    for start in range(0, len(asked), step):
        scores = asked[start : start + step] @ known.T
        same = torch.from_numpy(wanted[start : start + step, None] == own[None])
        right += int((scores.masked_fill(~same, -2).amax(1) > scores.masked_fill(same, -2).amax(1)).sum())
    return right / len(asked)


def check_fprs(fprs: Sequence[float]) -> None:
    """Raise `ValueError` for a false positive rate outside (0, 1)."""
    for fpr in fprs:
        if not 0 < fpr < 1:
            raise ValueError(f"a false positive rate must be in (0, 1), not {fpr}")
