"""The bootstrap over identities: against verification of a test set that really holds the copies that were drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from core.data.corpus_images import Captures
from core.evaluation import judge
from core.verification import hardest_pairs, verify
from reports.replicates import Replicates, distinct_impostors, identity_weights, tpr_replicates


def embeddings_of(identities: int, captures: int, seed: int = 0, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(identities, 8))
    ids = np.repeat(np.arange(identities), captures)
    return centres[ids] + noise * rng.normal(size=(len(ids), 8)), ids


def scores_of(embeddings: np.ndarray, ids: np.ndarray, share: float = 1.0) -> dict[str, np.ndarray]:
    images = np.zeros((len(ids), 1, 1, 3), np.uint8)
    scores = judge(torch.from_numpy(embeddings), Captures(images, ids)).scores()
    if share == 1.0:  # every negative, so that no replicate runs off the list
        found = hardest_pairs(embeddings, ids, len(ids) * (len(ids) - 1) // 2 - len(scores["positive_scores"]))
        scores |= dict(zip(("negative_scores", "negative_i", "negative_j"), found, strict=True))
    return scores


def brute_force(embeddings: np.ndarray, ids: np.ndarray, weights: np.ndarray, fpr: float) -> float:
    """TPR of the pairs of the drawn identities, counted one by one."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosine = unit @ unit.T
    left, right = np.triu_indices(len(ids), 1)
    same = ids[left] == ids[right]
    counts = np.where(same, weights[ids[left]], weights[ids[left]].astype(int) * weights[ids[right]])
    negatives, times = cosine[left, right][~same], counts[~same]
    order = np.argsort(-negatives)
    allowed = np.floor(fpr * times.sum() + 1e-9)
    threshold = negatives[order][np.searchsorted(np.cumsum(times[order]), allowed, side="right")]
    positives, times = cosine[left, right][same], counts[same]
    return float(times[positives > threshold].sum() / times.sum())


@pytest.mark.parametrize("fpr", [0.1, 0.01])
@pytest.mark.parametrize("captures", [2, 4])
def test_equals_counting_the_pairs_of_the_drawn_identities(fpr: float, captures: int) -> None:
    embeddings, ids = embeddings_of(30, captures)
    weights = identity_weights(30, 25)
    found = tpr_replicates(scores_of(embeddings, ids), fpr, 25)
    assert found is not None
    assert found == pytest.approx([brute_force(embeddings, ids, weights[:, b], fpr) for b in range(25)], abs=1e-9)


@pytest.mark.parametrize("ties", [False, True])
def test_equal_weights_give_the_runs_own_tpr(ties: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, ids = embeddings_of(60, 3)
    if ties:  # many positives score just what the threshold is: none of them is accepted
        embeddings = np.add(np.sign(np.round(embeddings[:, :4])), (0, 0, 0, 0.5))
    monkeypatch.setattr("reports.replicates.identity_weights", lambda k, b: np.ones((k, b), np.uint8))
    for fpr, tpr in verify(embeddings, ids, (1e-3, 1e-2)).tpr.items():
        found = tpr_replicates(scores_of(embeddings, ids), fpr, 3)
        assert found is not None
        assert found.tolist() == pytest.approx([tpr] * 3)


def test_its_spread_is_that_of_fresh_test_sets() -> None:
    """Against the truth: the same embedder judged on many test sets of other identities."""
    fresh = [verify(*embeddings_of(120, 4, seed), (0.01,)).tpr[0.01] for seed in range(1, 60)]
    own = [np.std(tpr_replicates(scores_of(*embeddings_of(120, 4, seed)), 0.01), ddof=1) for seed in range(4)]
    assert 0.65 < np.mean(own) / np.std(fresh, ddof=1) < 1.5


def test_a_list_that_ends_too_soon_gives_nothing_rather_than_a_guess() -> None:
    scores = scores_of(*embeddings_of(30, 4))
    short = {**scores, **{name: scores[name][:8] for name in ("negative_scores", "negative_i", "negative_j")}}
    assert tpr_replicates(short, 0.1, 20) is None
    assert tpr_replicates({name: scores[name] for name in ("roc_fpr", "roc_tpr")}, 0.1, 20) is None


def test_weights_are_the_same_whenever_asked_for_and_draw_each_identity_once_on_average() -> None:
    weights = identity_weights(50, 400)
    identity_weights.cache_clear()
    assert np.array_equal(weights, identity_weights(50, 400))
    assert (weights.sum(axis=0) == 50).all()
    assert weights.mean(axis=1) == pytest.approx(np.ones(50), abs=0.2)


def test_distinct_impostors_counts_pairs_of_identities_among_the_false_positives() -> None:
    scores = {
        "negative_i": np.array([0, 0, 1, 0]), "negative_j": np.array([1, 1, 2, 1]),
        "captures": np.array([2, 2, 2]),  # 12 pairs of captures of different identities
    }  # fmt: skip
    assert [distinct_impostors(scores, count / 12) for count in (1, 2, 3, 4)] == [1, 1, 2, 2]
    assert distinct_impostors({}, 0.1) is None


def test_each_run_is_read_once_and_damage_is_no_error() -> None:
    scores, asked = scores_of(*embeddings_of(30, 4)), []

    def load(key: str) -> dict[str, Any]:
        asked.append(key)
        if key == "bad":
            raise OSError("gone")
        return {**scores, **{f"shifted_{name}": values for name, values in scores.items()}}

    replicates = Replicates(load)
    first = replicates.of("a", "tpr@1e-2")
    assert first is not None
    assert replicates.of("a", "tpr@1e-2") is first
    assert replicates.impostors("a", "tpr@1e-2") == distinct_impostors(scores, 1e-2)
    assert replicates.of("bad", "tpr@1e-2") is None
    assert replicates.of("a", "auroc") is None
    assert np.array_equal(replicates.of("a", "shifted.tpr@1e-2"), first)
    assert asked == ["a", "bad", "a"]
