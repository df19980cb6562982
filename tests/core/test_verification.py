"""Verification against scikit-learn and plain enumeration, with ties, in any order and any block size."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

import core.pair_scores as scoring
import core.verification as module
from core.verification import Histogram, hardest_pairs, histogram, one_shot_top1, positive_pairs, summarise, verify

FPRS = (1e-3, 1e-2, 0.1, 0.5)


def _set(count: int = 160, identities: int = 30, dim: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Clustered embeddings of identities of unequal size, some with one capture."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(identities, count, p=rng.dirichlet(np.ones(identities))) * 7 - 50
    centres = {i: rng.normal(size=dim) for i in np.unique(ids)}
    return np.stack([centres[i] for i in ids]) + rng.normal(size=(count, dim)), ids


def _pairs(embeddings: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine of each pair, equal ones made equal, and whether it is of one identity: the definition, pair by pair."""
    scores, same = [], []
    for i, j in itertools.combinations(range(len(ids)), 2):
        a, b = embeddings[i], embeddings[j]
        scores.append(round(float(a @ b / math.sqrt((a @ a) * (b @ b))), 9))
        same.append(ids[i] == ids[j])
    return np.array(scores), np.array(same)


def _rates(scores: np.ndarray, same: np.ndarray, fpr: float) -> tuple[float, float]:
    """The largest TPR with FPR <= fpr on scikit-learn's ROC, and the (k + 1)-th largest negative."""
    roc = roc_curve(same, scores, drop_intermediate=False)
    negatives = np.sort(scores[~same])[::-1]
    return float(roc[1][roc[0] <= fpr + 1e-12].max()), float(negatives[math.floor(fpr * len(negatives) + 1e-9)])


def _compare(embeddings: np.ndarray, ids: np.ndarray, auroc_error: float = 1e-12) -> None:
    scores, same = _pairs(embeddings, ids)
    result = verify(embeddings, ids, FPRS)
    assert (result.positives, result.negatives) == (same.sum(), (~same).sum())
    assert result.auroc == pytest.approx(roc_auc_score(same, scores), abs=auroc_error)
    for fpr in FPRS:
        tpr, threshold = _rates(scores, same, fpr)
        assert result.tpr[fpr] == pytest.approx(tpr, abs=1e-12)
        assert result.threshold[fpr] == pytest.approx(threshold, abs=5e-7)
        assert result.tpr[fpr] == np.mean(scores[same] > result.threshold[fpr])
        assert (scores[~same] > result.threshold[fpr]).sum() <= result.allowed[fpr]
        assert result.allowed[fpr] == math.floor(fpr * result.negatives + 1e-9)
        assert result.ties[fpr] == (scores[same] == threshold).sum()


@pytest.mark.parametrize("seed", range(4))
def test_equals_scikit_learn(seed: int) -> None:
    # Scores closer than a bin tie, which of 12,720 distinct ones a few are.
    _compare(*_set(seed=seed), auroc_error=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_equals_scikit_learn_with_heavy_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    distinct = np.array([[1, 0, 0], [1, 1, 0], [0, -1, 2], [2, 2, 1], [-1, 0, 0]])
    _compare(distinct[rng.integers(0, 5, 90)] * rng.integers(1, 9, (90, 1)), rng.integers(0, 6, 90))


_VECTOR = st.tuples(*[st.integers(-2, 2)] * 3).filter(any)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(_VECTOR, st.integers(0, 3)), min_size=3, max_size=14))
def test_equals_scikit_learn_on_any_small_set(rows: list[tuple[tuple[int, int, int], int]]) -> None:
    embeddings, ids = np.array([row for row, _ in rows]), np.array([identity for _, identity in rows])
    if len(set(ids)) < 2 or len(set(ids)) == len(ids):
        with pytest.raises(ValueError, match="identit"):
            verify(embeddings, ids, FPRS)
    else:
        _compare(embeddings, ids)


def test_identical_embeddings_verify_nobody() -> None:
    result = verify(np.ones((8, 5)), np.arange(8) // 2, (0.5,))
    assert result.auroc == 0.5
    assert result.tpr[0.5] == 0
    assert result.ties[0.5] == result.positives == 4


def test_separated_embeddings_verify_everybody() -> None:
    ids = np.arange(30) % 10
    result = verify(np.eye(10)[ids], ids)
    assert result.auroc == 1
    assert set(result.tpr.values()) == {1.0}
    assert result.identity_pairs == 45


def _fields(embeddings: np.ndarray, ids: np.ndarray) -> list[object]:
    result = verify(embeddings, ids)
    return [
        value.tolist() if isinstance(value, np.ndarray) else value
        for value in (getattr(result, name) for name in result.__dataclass_fields__)
    ]


def test_order_lengths_and_names_of_identities_do_not_matter() -> None:
    embeddings, ids = _set(700, 90, 64, seed=3)
    rng = np.random.default_rng(4)
    order = rng.permutation(len(ids))
    expected = _fields(embeddings, ids)
    assert _fields(embeddings[order], ids[order]) == expected
    assert _fields(embeddings * 2.0 ** rng.integers(-9, 9, (len(ids), 1)), ids) == expected
    assert _fields(embeddings, 1000 - ids) == expected


def _everything(embeddings: np.ndarray, ids: np.ndarray) -> list[np.ndarray]:
    counts = histogram(embeddings, ids)
    pairs = *hardest_pairs(embeddings, ids, 500), *positive_pairs(embeddings, ids)
    return [counts.positives, counts.negatives, *pairs]


@pytest.mark.parametrize(("strip", "tile"), [(1, 1), (150 * 7, 150), (2**13, 2**10)])
def test_block_size_does_not_matter(monkeypatch: pytest.MonkeyPatch, strip: int, tile: int) -> None:
    embeddings, ids = _set(150, 30, 64, seed=3)
    whole = _everything(embeddings, ids)
    monkeypatch.setattr(scoring, "STRIP", strip)
    monkeypatch.setattr(scoring, "TILE", tile)
    for ours, expected in zip(_everything(embeddings, ids), whole, strict=True):
        assert np.array_equal(ours, expected)


def test_threads_do_not_matter() -> None:
    embeddings, ids = _set(600, 30, 64, seed=3)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(_everything(embeddings, ids))
    finally:
        torch.set_num_threads(threads)
    for one, two in zip(*found, strict=True):
        assert np.array_equal(one, two)


def test_strips_hold_each_pair_once_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "STRIP", 2000)
    unit = scoring.unit_rows(np.random.default_rng(0).normal(size=(90, 4)))
    found = np.zeros((90, 90))
    for start, strip in scoring.strips(unit, range(90)):
        assert strip.numel() <= 2000
        rows, columns = np.nonzero(strip.numpy() <= scoring.BINS)
        np.add.at(found, (rows + start, columns + start), 1)
    assert np.array_equal(found, np.triu(np.ones((90, 90)), 1))


def test_histograms_of_parts_add_up() -> None:
    embeddings, ids = _set()
    parts = [histogram(embeddings, ids, range(a, b)) for a, b in ((0, 1), (1, 70), (70, 70), (70, 160))]
    whole, total = histogram(embeddings, ids), sum(parts[1:], parts[0])
    assert np.array_equal(whole.positives, total.positives)
    assert np.array_equal(whole.negatives, total.negatives)
    assert summarise(total, 1, FPRS).tpr == verify(embeddings, ids, FPRS).tpr


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16", "tensor", "list"])
def test_takes_arrays_tensors_and_lists(kind: str) -> None:
    embeddings, ids = _set()
    embeddings = np.round(embeddings * 16) / 16  # exact in every type below
    expected = verify(embeddings, ids)
    if kind == "list":
        result = verify(embeddings, ids.tolist())
    elif kind == "float32":
        result = verify(embeddings.astype(np.float32), ids.astype(np.int32))
    else:
        dtype = {"float16": torch.float16, "bfloat16": torch.bfloat16, "tensor": torch.float32}[kind]
        result = verify(torch.tensor(embeddings, dtype=dtype, requires_grad=True), torch.tensor(ids))
    assert result.auroc == expected.auroc
    assert result.tpr == expected.tpr


def test_roc_rises_from_the_strictest_rate_to_one_and_agrees_with_the_rates() -> None:
    embeddings, ids = _set()
    result = verify(embeddings, ids, (1e-4, 1e-3, 1e-2, 1e-1))
    assert result.roc_fpr.shape == result.roc_tpr.shape == (121,)
    assert (result.roc_fpr[0], result.roc_fpr[-1], result.roc_tpr[-1]) == (1e-6, 1.0, 1.0)
    assert (np.diff(result.roc_tpr) >= 0).all()
    assert result.roc_tpr[[40, 60, 80, 100]].tolist() == list(result.tpr.values())


def test_allowed_negatives_do_not_suffer_from_binary_fractions() -> None:
    counts = Histogram(np.zeros(scoring.BINS + 1, np.int64), np.zeros(scoring.BINS + 1, np.int64))
    counts.positives[5], counts.negatives[9] = 3, 100
    assert int(0.29 * 100) == 28  # just below 29
    result = summarise(counts, 1, (0.29, 0.07, 1 - 1e-15))
    assert list(result.allowed.values()) == [29, 7, 99]
    counts.positives[5] = 0
    with pytest.raises(ValueError, match="pairs of both kinds"):
        summarise(counts, 1, (0.1,))


def _listed(embeddings: np.ndarray, ids: np.ndarray, of_one: bool) -> list[tuple[float, int, int]]:
    index = {identity: position for position, identity in enumerate(np.unique(ids))}
    scores, same = _pairs(embeddings, ids)
    pairs = itertools.combinations([index[i] for i in ids], 2)
    return [(s, *sorted(p)) for s, p, one in zip(scores, pairs, same, strict=True) if one == of_one]


@pytest.mark.parametrize("keep", [1, 17, 1000, 10**6])
def test_hardest_pairs_are_the_top_of_the_negatives(monkeypatch: pytest.MonkeyPatch, keep: int) -> None:
    monkeypatch.setattr(scoring, "TILE", 500)  # so that the list is cut while it grows
    embeddings, ids = _set()
    expected = sorted(_listed(embeddings, ids, False), reverse=True)[:keep]
    scores, left, right = hardest_pairs(embeddings, ids, keep)
    assert np.allclose(scores, [row[0] for row in expected], rtol=0, atol=3e-7)
    assert (np.diff(scores) <= 0).all()
    assert (left < right).all()
    ours = zip(left.tolist(), right.tolist(), strict=True)
    assert sorted(ours) == sorted((i, j) for _, i, j in expected)


def test_hardest_pairs_among_ties_are_the_first_by_identity_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "TILE", 64)
    rng = np.random.default_rng(0)
    ids = rng.permutation(np.arange(60) // 3)
    embeddings = np.array([[1, 0], [1, 1], [0, 1]])[rng.integers(0, 3, 60)]
    pairs = sorted((-s, i, j) for s, i, j in _listed(embeddings, ids, False))[:50]
    for _ in range(3):
        order = rng.permutation(60)
        scores, left, right = hardest_pairs(embeddings[order], ids[order], 50)
        assert np.allclose(scores, [-s for s, _, _ in pairs], rtol=0, atol=3e-7)
        assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(i, j) for _, i, j in pairs]


def test_positive_pairs_are_all_of_them_by_identity() -> None:
    embeddings, ids = _set()
    expected = sorted((i, -s) for s, i, _ in _listed(embeddings, ids, True))
    scores, owner = positive_pairs(embeddings, ids)
    assert owner.tolist() == [i for i, _ in expected]
    assert np.allclose(scores, [-s for _, s in expected], rtol=0, atol=3e-7)


def test_listed_pairs_give_the_same_rates_as_the_counts() -> None:
    embeddings, ids = _set(400, 60, 16)
    result = verify(embeddings, ids)
    positives, negatives = positive_pairs(embeddings, ids)[0], hardest_pairs(embeddings, ids, 2000)[0]
    for fpr, allowed in result.allowed.items():
        assert np.mean(positives > negatives[allowed]) == result.tpr[fpr]


def test_too_many_positive_pairs_are_refused_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_POSITIVES", 5)
    with pytest.raises(ValueError, match="6 positive pairs are too many"):
        positive_pairs(np.eye(5), [0, 0, 0, 0, 1])


def test_one_shot_top1_is_the_share_of_nearest_rows_with_the_right_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    gallery, ids = rng.normal(size=(20, 6)), np.arange(20) // 2 + 100
    wanted = rng.integers(100, 110, 300)
    queries = gallery[(wanted - 100) * 2] + rng.normal(size=(300, 6))
    cosine = (queries / np.linalg.norm(queries, axis=1)[:, None]) @ (
        gallery / np.linalg.norm(gallery, axis=1)[:, None]
    ).T
    expected = np.mean(ids[cosine.argmax(1)] == wanted)
    assert 0.2 < expected < 0.95
    assert one_shot_top1(gallery, ids, queries, wanted) == expected
    monkeypatch.setattr(scoring, "TILE", 90)
    assert one_shot_top1(gallery, ids, queries, wanted) == expected


def test_one_shot_top1_counts_a_tie_as_a_miss_and_refuses_the_unregistered() -> None:
    assert one_shot_top1(np.ones((3, 2)), [0, 1, 2], np.ones((2, 2)), [0, 1]) == 0
    assert one_shot_top1(np.ones((1, 2)), [4], np.ones((2, 2)), [4, 4]) == 1
    with pytest.raises(ValueError, match="not in the gallery"):
        one_shot_top1(np.eye(2), [0, 1], np.eye(2), [0, 2])
    with pytest.raises(ValueError, match="gallery rows have 2 values"):
        one_shot_top1(np.eye(2), [0, 1], np.eye(3), [0, 1, 1])


def _with(value: float) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(6, 4))
    rows[2, 1] = value
    return rows


_IDS = [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("embeddings", "ids", "fprs", "says"),
    [
        (_with(math.nan), _IDS, FPRS, "1 embeddings have NaN"),
        (_with(math.inf), _IDS, FPRS, "NaN or infinite"),
        (_with(1) * [[1], [1], [0], [0], [1], [1]], _IDS, FPRS, "2 embeddings are zero"),
        (_with(1)[0], _IDS, FPRS, "shape"),
        (_with(1)[:0], [], FPRS, "shape"),
        (_with(1), _IDS[:-1], FPRS, "6 integers"),
        (_with(1), [0.5] * 6, FPRS, "integers"),
        (_with(1), [0] * 6, FPRS, "two identities"),
        (_with(1), range(6), FPRS, "two captures"),
        (_with(1), _IDS, (0.0,), "false positive rate"),
        (_with(1), _IDS, (1.0,), "false positive rate"),
        (_with(1), _IDS, (math.nan,), "false positive rate"),
    ],
)
def test_refuses(embeddings: np.ndarray, ids: list[int], fprs: tuple[float, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        verify(embeddings, ids, fprs)


def test_refuses_a_bad_range_and_an_empty_list() -> None:
    for rows in (range(161), range(0, 10, 2), range(5, 3)):
        with pytest.raises(ValueError, match="plain range"):
            histogram(*_set(), rows)
    with pytest.raises(ValueError, match="keep at least one"):
        hardest_pairs(*_set(), 0)
