"""Do the intervals cover? Two equal embedders are judged on fresh identities with fresh seeds, over and over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from reports.replicates import tpr_replicates
from reports.stats import identity_error, paired_interval

Array = np.ndarray
_DIM = 32


@dataclass(frozen=True)
class Setting:
    """A test set of `identities` with `captures` each, read at `fpr`.

    `noise` is that of captures, `luck` its standard deviation over runs. `taste` makes half of the identities, other
    ones in every replication, harder for one arm and easier for the other, in all seeds alike: the part of the
    variation that more seeds do not average out. By symmetry the true difference stays 0.
    """

    identities: int = 300
    captures: int = 6
    fpr: float = 1e-4
    noise: float = 0.75
    luck: float = 0.01
    taste: float = 0.0


# Seeds that matter more, identities that matter more, and both: intervals that leave one out fail in one of them.
SETTINGS = (Setting(luck=0.005), Setting(luck=0.005, taste=0.15), Setting(luck=0.02, taste=0.15))


@dataclass(frozen=True)
class Coverage:
    """Shares of intervals that hold the truth, by number of seeds, and the two parts of their standard error."""

    replications: int
    both: dict[int, float]
    seeds_alone: dict[int, float]
    identities_alone: dict[int, float]
    seed_sd: float
    identity_se: float


def coverage(
    setting: Setting, replications: int, seeds: Sequence[int] = (3, 5, 10), confidence: float = 0.95, seed: int = 0
) -> Coverage:
    """Simulate paired comparisons of two embedders that are equally good, so that the true difference is 0.

    Every replication draws new identities and new seeds; within one, all runs see the same identities, and the two arms
    of a seed the same captures but for their own noise, as in a study.
    """
    rng = np.random.default_rng(seed)
    covered: dict[str, dict[int, int]] = {name: dict.fromkeys(seeds, 0) for name in ("both", "seeds", "identities")}
    spreads, errors = [], []
    for _ in range(replications):
        tprs, drawn = _paired_runs(setting, max(seeds), rng)
        for n in seeds:
            difference = tprs[:n, 0] - tprs[:n, 1]
            se = identity_error(drawn[:n, 0] - drawn[:n, 1])
            both = paired_interval(tprs[:n, 0], tprs[:n, 1], confidence, se, setting.identities - 1)
            alone = paired_interval(tprs[:n, 0], tprs[:n, 1], confidence)
            covered["both"][n] += int(both.low <= 0 <= both.high)
            covered["seeds"][n] += int(alone.low <= 0 <= alone.high)
            covered["identities"][n] += int(abs(difference.mean()) <= 1.96 * se)
        spreads.append(np.std(tprs[:, 0] - tprs[:, 1], ddof=1))
        errors.append(se)
    share = {name: {n: count / replications for n, count in counts.items()} for name, counts in covered.items()}
    return Coverage(
        replications,
        share["both"],
        share["seeds"],
        share["identities"],
        float(np.mean(spreads)),
        float(np.mean(errors)),
    )


def _paired_runs(setting: Setting, seeds: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """TPRs (n, 2) of two arms over seeds on one set of identities, and their replicates (n, 2, B)."""
    ids = np.repeat(np.arange(setting.identities), setting.captures)
    centres = rng.normal(size=(setting.identities, _DIM))
    shared = rng.normal(size=(len(ids), _DIM))  # what is hard about a capture is hard for both arms
    taste = setting.taste * rng.choice([-1.0, 1.0], setting.identities)[ids, None]
    tprs, drawn = [], []
    for _ in range(seeds):
        arms = []
        for sign in (1, -1):
            noise = (setting.noise + setting.luck * rng.normal()) * (1 + sign * taste)
            own = rng.normal(size=shared.shape)
            arms.append(_judge(centres[ids] + noise * (shared + own) / np.sqrt(2), ids, setting))
        tprs.append([tpr for tpr, _ in arms])
        drawn.append([replicates for _, replicates in arms])
    return np.array(tprs), np.array(drawn)


def _judge(embeddings: Array, ids: Array, setting: Setting) -> tuple[float, Array]:
    """TPR at the FPR with its replicates, as `core.verification` and a run's kept scores give them, for small sets."""
    unit = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
    positive, negative = _pairs(setting)
    distance = -(unit @ unit.T).ravel()
    near = distance[negative]
    allowed = int(setting.fpr * len(near) + 1e-9)
    keep = min(len(near), 20 * (allowed + 1))
    hardest = np.argpartition(near, keep - 1)[:keep]
    hardest = hardest[np.argsort(near[hardest], kind="stable")]
    left, right = np.divmod(negative[hardest], len(ids))
    positives = -distance[positive]
    scores = {
        "positive_scores": positives, "positive_ids": ids[positive // len(ids)], "negative_scores": -near[hardest],
        "negative_i": ids[left], "negative_j": ids[right],
        "captures": np.full(setting.identities, setting.captures),
    }  # fmt: skip
    replicates = tpr_replicates(scores, setting.fpr)
    if replicates is None:
        raise ValueError(f"the hardest {keep} negatives do not reach the threshold of every replicate")
    return float((positives > -near[hardest[allowed]]).mean()), replicates


@lru_cache(maxsize=1)
def _pairs(setting: Setting) -> tuple[Array, Array]:
    """Flat places, in the matrix of all scores, of the pairs of the same identity and of different ones."""
    ids = np.repeat(np.arange(setting.identities), setting.captures)
    upper = np.triu(np.ones((len(ids),) * 2, bool), 1)
    same = ids[:, None] == ids
    return np.flatnonzero(upper & same), np.flatnonzero(upper & ~same)
