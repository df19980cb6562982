"""Verification over all pairs: TPR at a FPR, AUROC, exact counts in bounded memory, and one-shot top-1.

Scores are fixed-point cosines. The rows, scaled to unit length, are rounded to multiples of 2**-26, so that
every partial sum of a dot product is a float64 without rounding, whatever the order of summation: a pair's
score does not depend on where the pair lies in the matrix, on the block size, on threads or on the BLAS. Scores
then fall into 2**22 bins over [-1, 1] (4.8e-7 wide; float32 cosines are no finer near 1), and counts per bin give
every rate at once. Bins are numbered by distance: 0 holds cosine 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

BINS = 2**22
_HALF = BINS // 2
_LEFT_OUT = BINS + 1  # where entries that are not pairs go
_COMPONENT = 2.0**26  # two 26-bit components multiply to 52 bits, and sums of unit rows stay within 53
_STRIP = 2**25  # entries of the score matrix held at once
_TILE = 2**20  # entries multiplied at once, small enough to stay in cache until they are binned
_MOST_POSITIVES = 50_000_000

Rows = np.ndarray | torch.Tensor
Ids = np.ndarray | torch.Tensor | Sequence[int]


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts (BINS + 1,) int64 of same-identity and different-identity pairs by distance bin; parts add up."""

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


def verify(embeddings: Rows, identities: Ids, fprs: Sequence[float] = (1e-4, 1e-3, 1e-2)) -> Verification:
    """Judge all N (N - 1) / 2 pairs of embeddings by cosine.

    Args:
        embeddings: (N, D), of any norm but zero.
        identities: (N,) integers, equal for captures of one identity.
        fprs: false positive rates in (0, 1).

    Raises:
        ValueError: shapes that do not fit, NaN, infinite or zero rows, fewer than two identities, no identity
            with two captures, a FPR outside (0, 1).
    """
    check_fprs(fprs)
    counts = histogram(embeddings, identities)
    count = len(np.unique(_identities(identities, len(embeddings))))
    return summarise(counts, count * (count - 1) // 2, fprs)


def histogram(embeddings: Rows, identities: Ids, rows: range | None = None) -> Histogram:
    """Counts of the pairs (i, j), i < j, in order of identity; `rows` limits i, for work in parts.

    Histograms over ranges that partition `range(N)` add up to the whole. Same arguments and errors as `verify`.
    """
    unit, ids, _ = _prepare(embeddings, identities)
    positives, negatives = (np.zeros(BINS + 2, np.int64) for _ in range(2))
    for start, strip in _strips(unit, range(len(unit)) if rows is None else rows):
        near, same = _same(ids, start, strip)
        _count(near[same], torch.from_numpy(positives))
        near.masked_fill_(same, _LEFT_OUT)
        _count(strip.flatten(), torch.from_numpy(negatives))
    return Histogram(positives[:-1], negatives[:-1])


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
        threshold=dict(zip(fprs, (1 - (used[cut] - 0.5) / _HALF).tolist(), strict=True)),
        auroc=float(positives @ (total_negatives - within + negatives / 2) / total / total_negatives),
        positives=total,
        negatives=total_negatives,
        allowed=dict(zip(fprs, allowed.tolist(), strict=True)),
        ties=dict(zip(fprs, positives[cut].tolist(), strict=True)),
        identity_pairs=identity_pairs,
        roc_fpr=roc_fpr,
        roc_tpr=roc_tpr,
    )


def hardest_pairs(embeddings: Rows, identities: Ids, keep: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `keep` most similar pairs of different identities, or all if there are fewer.

    Returns:
        scores (P,) float32 in falling order, the fixed-point cosines that `verify` counts; id_i and id_j (P,) int32,
        id_i < id_j, indices into the sorted distinct identities. Ties are kept in order of (id_i, id_j).

    Raises:
        ValueError: as `verify`, or `keep` below 1.
    """
    if keep < 1:
        raise ValueError(f"keep at least one pair, not {keep}")
    unit, ids, count = _prepare(embeddings, identities)
    # One int64 a pair, which sorts by bin, then by identities: 23 bits of bin leave 20 for each identity.
    if count > 2**20:
        raise ValueError(f"at most {2**20} identities can be ranked, not {count}")
    found, held, cut = [np.empty(0, np.int64)], 0, BINS
    for start, strip in _strips(unit, range(len(unit))):
        near, same = _same(ids, start, strip)
        near.masked_fill_(same, _LEFT_OUT)
        for offset in range(0, strip.shape[1], width := max(1, _TILE // len(strip))):
            tile = strip[:, offset : offset + width]
            row, column = torch.nonzero(tile <= cut, as_tuple=True)
            pair = ids[start + row] * count + ids[start + offset + column]
            found.append((tile[row, column].long() * count**2 + pair).numpy())
            held += len(row)
            if held > 2 * keep + _TILE:
                found = [np.partition(np.concatenate(found), keep - 1)[:keep]]
                held, cut = keep, int(found[0][-1]) // count**2
    key = np.sort(np.concatenate(found))[:keep]
    bins, pairs = np.divmod(key, count**2)
    return _score(bins), (pairs // count).astype(np.int32), (pairs % count).astype(np.int32)


def positive_pairs(embeddings: Rows, identities: Ids) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of the same identity.

    Returns:
        scores (P,) float32, the fixed-point cosines that `verify` counts; id (P,) int32, indices into the
        sorted distinct identities; in order of identity, then of falling score.

    Raises:
        ValueError: as `verify`, or more than 50 million pairs.
    """
    unit, ids, _ = _prepare(embeddings, identities)
    captures = torch.bincount(ids)
    pairs = int((captures * (captures - 1) // 2).sum())
    if pairs > _MOST_POSITIVES:
        raise ValueError(f"{pairs} positive pairs are too many to list (at most {_MOST_POSITIVES}); use `verify`")
    found, owners = [], []
    for start, strip in _strips(unit, range(len(unit)), ids):
        near, same = _same(ids, start, strip)
        same &= near != _LEFT_OUT
        found.append(near[same])
        owners.append(ids[start : start + len(strip)].repeat_interleave(same.sum(1)))
    bins, owner = torch.cat(found).numpy(), torch.cat(owners).numpy()
    order = np.lexsort((bins, owner))
    return _score(bins[order]), owner[order].astype(np.int32)


def one_shot_top1(gallery: Rows, gallery_ids: Ids, queries: Rows, query_ids: Ids) -> float:
    """Share of queries (M, D) whose most similar gallery row (K, D) has their identity; a tie with another is a miss.

    Raises:
        ValueError: shapes that do not fit, NaN, infinite or zero rows, no queries, or a query whose identity
            is not in the gallery.
    """
    known, own = _unit(gallery), _identities(gallery_ids, len(gallery))
    asked, wanted = _unit(queries), _identities(query_ids, len(queries))
    if known.shape[1] != asked.shape[1]:
        raise ValueError(f"gallery rows have {known.shape[1]} values and queries {asked.shape[1]}")
    if missing := set(wanted.tolist()) - set(own.tolist()):
        raise ValueError(f"{len(missing)} identities of queries are not in the gallery, e.g. {min(missing)}")
    right, step = 0, max(1, _TILE // len(known))
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


def _unit(embeddings: Rows) -> torch.Tensor:
    """Rows (N, D) float64 of unit length, in multiples of 2**-26."""
    if not isinstance(embeddings, torch.Tensor):
        embeddings = torch.from_numpy(np.array(embeddings, np.float64))  # a copy: torch warns of read-only arrays
    rows = embeddings.detach().cpu().to(torch.float64)
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"embeddings must have shape (N, D), not {tuple(rows.shape)}")
    if not rows.isfinite().all():
        raise ValueError(f"{int((~rows.isfinite().all(1)).sum())} embeddings have NaN or infinite values")
    largest = rows.abs().amax(1, keepdim=True)
    if not largest.all():
        raise ValueError(f"{int((largest == 0).sum())} embeddings are zero and have no direction")
    rows = rows / largest  # the squares of tiny or huge values would leave the range of float64
    return (rows / rows.norm(dim=1, keepdim=True)).mul_(_COMPONENT).round_().div_(_COMPONENT)


def _identities(identities: Ids, count: int) -> np.ndarray:
    ids = identities.detach().cpu().numpy() if isinstance(identities, torch.Tensor) else np.asarray(identities)
    if ids.shape != (count,) or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"identities must be {count} integers, one a row, not {ids.dtype} of shape {ids.shape}")
    return ids


def _prepare(embeddings: Rows, identities: Ids) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Unit rows in order of identity, index of each row's identity (N,) int64, number of identities."""
    unit = _unit(embeddings)
    distinct, ids, captures = np.unique(_identities(identities, len(unit)), return_inverse=True, return_counts=True)
    if len(distinct) < 2:
        raise ValueError("verification needs at least two identities")
    if captures.max() < 2:
        raise ValueError("verification needs an identity with at least two captures")
    order = np.argsort(ids, kind="stable")
    return unit[torch.from_numpy(order)], torch.from_numpy(ids[order].astype(np.int64)), len(distinct)


def _strips(
    unit: torch.Tensor, rows: range, positives_of: torch.Tensor | None = None
) -> Iterator[tuple[int, torch.Tensor]]:
    """(start, bins (R, W) int32) of pairs of rows start.. with rows start.., `_LEFT_OUT` where not i < j.

    With identities in `positives_of`, only the columns that can hold positives. The next step reuses the memory.
    """
    count = len(unit)
    if rows.step != 1 or not 0 <= rows.start <= rows.stop <= count:
        raise ValueError(f"rows must be a plain range within {count} rows, not {rows}")
    height = min(1024, max(1, _STRIP // count))
    scaled = unit * -_HALF
    held = torch.empty(min(height, count) * count, dtype=torch.int32)
    scratch = torch.empty(max(_TILE, height), dtype=torch.float64)
    for start in range(rows.start, rows.stop, height):
        size = min(height, rows.stop - start)
        stop = count if positives_of is None else start + _reach(positives_of, start, size)
        strip = held[: size * (stop - start)].view(size, stop - start)
        for left in range(start, stop, width := max(1, _TILE // size)):
            columns = unit[left : min(left + width, stop)]
            tile = scratch[: size * len(columns)].view(size, len(columns))
            torch.mm(scaled[start : start + size], columns.T, out=tile)
            # Conversion truncates: with the half, distances are rounded to the nearest bin.
            strip[:, left - start : left - start + len(columns)].copy_(tile.add_(_HALF + 0.5))
        strip.clamp_(0, BINS)
        strip[:, :size].masked_fill_(torch.ones(size, size, dtype=torch.bool).tril(), _LEFT_OUT)
        yield start, strip


def _reach(ids: torch.Tensor, start: int, size: int) -> int:
    """How many columns from `start` on share an identity with a row of the strip."""
    return int(torch.searchsorted(ids, ids[start + size - 1], right=True)) - start


def _same(ids: torch.Tensor, start: int, strip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The columns of the strip that can hold positives, and where rows and columns share an identity."""
    near = strip[:, : _reach(ids, start, len(strip))]
    return near, ids[start : start + len(strip), None] == ids[None, start : start + near.shape[1]]


def _count(bins: torch.Tensor, into: torch.Tensor) -> None:
    """Add the number of entries in each bin; `bincount` is the faster, but allocates all bins."""
    if bins.numel() > BINS:
        into += torch.bincount(bins, minlength=len(into))
    else:
        into.scatter_add_(0, bins.long(), into.new_ones(1).expand(bins.numel()))


def _score(bins: np.ndarray) -> np.ndarray:
    """Cosines float32, exact, of distance bins."""
    return (1 - bins / _HALF).astype(np.float32)
