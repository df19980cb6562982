"""Fixed-point cosines of all pairs, in strips of bounded memory: what `core.verification` counts and lists.

The rows, scaled to unit length, are rounded to multiples of 2**-26, so that every partial sum of a dot product
is a float64 without rounding, whatever the order of summation: a pair's score does not depend on where the pair
lies in the matrix, on the block size, on threads, on the BLAS or on the device. Scores then fall into 2**22 bins over
[-1, 1] (4.8e-7 wide; float32 cosines are no finer near 1). Bins are numbered by distance: 0 holds cosine 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from core.device import CPU

BINS = 2**22
HALF = BINS // 2
LEFT_OUT = BINS + 1  # where entries that are not pairs go
COMPONENT = 2.0**26  # two 26-bit components multiply to 52 bits, and sums of unit rows stay within 53
STRIP = 2**25  # entries of the score matrix held at once
TILE = 2**20  # entries multiplied at once on the CPU, small enough to stay in cache until they are binned

Rows = np.ndarray | torch.Tensor
Ids = np.ndarray | torch.Tensor | Sequence[int]


def unit_rows(embeddings: Rows) -> torch.Tensor:
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
    return (rows / rows.norm(dim=1, keepdim=True)).mul_(COMPONENT).round_().div_(COMPONENT)


def identity_array(identities: Ids, count: int) -> np.ndarray:
    ids = identities.detach().cpu().numpy() if isinstance(identities, torch.Tensor) else np.asarray(identities)
    if ids.shape != (count,) or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"identities must be {count} integers, one a row, not {ids.dtype} of shape {ids.shape}")
    return ids


def in_identity_order(
    embeddings: Rows, identities: Ids, device: torch.device = CPU
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Unit rows in order of identity, index of each row's identity (N,) int64, both on `device`; how many there are."""
    unit = unit_rows(embeddings)
    distinct, ids, captures = np.unique(identity_array(identities, len(unit)), return_inverse=True, return_counts=True)
    if len(distinct) < 2:
        raise ValueError("verification needs at least two identities")
    if captures.max() < 2:
        raise ValueError("verification needs an identity with at least two captures")
    order = np.argsort(ids, kind="stable")
    ordered = unit[torch.from_numpy(order)], torch.from_numpy(ids[order].astype(np.int64))
    return ordered[0].to(device), ordered[1].to(device), len(distinct)


def strips(
    unit: torch.Tensor, rows: range, positives_of: torch.Tensor | None = None
) -> Iterator[tuple[int, torch.Tensor]]:
    """(start, bins (R, W) int32) of pairs of rows start.. with rows start.., `LEFT_OUT` where not i < j.

    With identities in `positives_of`, only the columns that can hold positives. The next step reuses the memory. Pairs
    are compared where the rows are.
    """
    count, device = len(unit), unit.device
    if rows.step != 1 or not 0 <= rows.start <= rows.stop <= count:
        raise ValueError(f"rows must be a plain range within {count} rows, not {rows}")
    height = min(1024, max(1, STRIP // count))
    scaled = unit * -HALF
    tile_size = max(tile_of(device), height)
    held = torch.empty(min(height, count) * count, dtype=torch.int32, device=device)
    scratch = torch.empty(min(tile_size, len(held)), dtype=torch.float64, device=device)
    for start in range(rows.start, rows.stop, height):
        size = min(height, rows.stop - start)
        stop = count if positives_of is None else start + reach(positives_of, start, size)
        strip = held[: size * (stop - start)].view(size, stop - start)
        for left in range(start, stop, width := max(1, tile_size // size)):
            columns = unit[left : min(left + width, stop)]
            tile = scratch[: size * len(columns)].view(size, len(columns))
            torch.mm(scaled[start : start + size], columns.T, out=tile)
            # Conversion truncates: with the half, distances are rounded to the nearest bin.
            strip[:, left - start : left - start + len(columns)].copy_(tile.add_(HALF + 0.5))
        strip.clamp_(0, BINS)
        strip[:, :size].masked_fill_(torch.ones(size, size, dtype=torch.bool, device=device).tril(), LEFT_OUT)
        yield start, strip


def tile_of(device: torch.device) -> int:
    """How many entries are worked on at once: on a GPU the more the better, within what is held anyway."""
    return TILE if device.type == "cpu" else STRIP


def reach(ids: torch.Tensor, start: int, size: int) -> int:
    """How many columns from `start` on share an identity with a row of the strip."""
    return int(torch.searchsorted(ids, ids[start + size - 1], right=True)) - start


def same_identity(ids: torch.Tensor, start: int, strip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The columns of the strip that can hold positives, and where rows and columns share an identity."""
    near = strip[:, : reach(ids, start, len(strip))]
    return near, ids[start : start + len(strip), None] == ids[None, start : start + near.shape[1]]


def add_counts(bins: torch.Tensor, into: torch.Tensor) -> None:
    """Add the number of entries in each bin; `bincount` is the faster, but allocates all bins."""
    if bins.numel() > BINS:
        into += torch.bincount(bins, minlength=len(into))
    else:
        into.scatter_add_(0, bins.long(), into.new_ones(1).expand(bins.numel()))


def cosines(bins: np.ndarray) -> np.ndarray:
    """Cosines float32, exact, of distance bins."""
    return (1 - bins / HALF).astype(np.float32)
