"""PartialFC: full softmax at rate 1, the documented sample below it, and nothing else touched."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from core.loss.margin import KINDS, margin_softmax_loss
from core.loss.partial_fc import PartialFC


def _stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _head(rate: float, kind: str = "cosface", classes: int = 40, seed: int = 0, dim: int = 8) -> PartialFC:
    return PartialFC(dim, classes, kind, 16.0, 0.3, rate, generator=_stream(seed), init_generator=_stream(seed + 100))


def _batch(size: int = 6, classes: int = 40, dim: int = 8, seed: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    stream = _stream(seed)
    labels = torch.randint(classes, (size,), generator=stream)
    return torch.randn(size, dim, generator=stream).requires_grad_(), labels


def _by_hand(embeddings: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, sampled: list[int], kind: str,
             scale: float, margin: float) -> torch.Tensor:  # fmt: skip
    """The loss row by row and class by class, from the definition."""
    total = torch.zeros((), dtype=embeddings.dtype)
    for row, label in zip(embeddings, labels.tolist(), strict=True):
        logits = []
        for index in sampled:
            cosine = torch.dot(row / row.norm(), weight[index] / weight[index].norm())
            if index == label and kind == "cosface":
                cosine = cosine - margin
            if index == label and kind == "arcface":
                theta = torch.acos(cosine)
                past = theta.item() > math.pi - margin
                cosine = cosine - margin * math.sin(margin) if past else torch.cos(theta + margin)
            logits.append(scale * cosine)
        total = total + torch.logsumexp(torch.stack(logits), 0) - logits[sampled.index(label)]
    return total / len(labels)


@pytest.mark.parametrize("kind", KINDS)
def test_rate_one_is_the_full_softmax_and_draws_nothing(kind: str) -> None:
    head, (embeddings, labels) = _head(1.0, kind), _batch()
    before = head._generator.get_state()
    head(embeddings, labels).backward()
    assert torch.equal(head._generator.get_state(), before)
    assert torch.equal(head.sampled_classes(labels), torch.arange(40))
    rows, weight = embeddings.detach().clone().requires_grad_(), head.weight.detach().clone().requires_grad_()
    loss = margin_softmax_loss(F.linear(F.normalize(rows), F.normalize(weight)), labels, kind, 16.0, 0.3)
    loss.backward()
    assert torch.equal(head(embeddings, labels), loss)
    torch.testing.assert_close(embeddings.grad, rows.grad)
    torch.testing.assert_close(head.weight.grad, weight.grad)


@pytest.mark.parametrize("kind", ["softmax", "cosface", "arcface"])
@pytest.mark.parametrize("size", [1, 6, 11])
def test_sampled_loss_and_gradient_are_those_of_the_definition(kind: str, size: int) -> None:
    head, (embeddings, labels) = _head(0.3, kind).double(), _batch(size)
    sampled = _head(0.3, kind).sampled_classes(labels)  # the same stream from its start
    embeddings = embeddings.detach().double().requires_grad_()
    loss = head(embeddings, labels)
    loss.backward()
    weight = head.weight.detach().clone().requires_grad_()
    rows = embeddings.detach().clone().requires_grad_()
    expected = _by_hand(rows, weight, labels, sampled.tolist(), kind, 16.0, 0.3)
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(embeddings.grad, rows.grad)
    assert head.weight.grad is not None
    torch.testing.assert_close(head.weight.grad, weight.grad)
    out = torch.ones(40, dtype=torch.bool)
    out[sampled] = False
    assert out.sum() == 28
    assert (head.weight.grad[out] == 0).all()
    assert (head.weight.grad[~out].abs().sum(1) > 0).all()


def test_sample_holds_the_positives_and_is_sorted_distinct_and_of_the_documented_size() -> None:
    head = _head(0.37)
    for seed in range(20):
        _, labels = _batch(9, seed=seed)
        sampled = head.sampled_classes(labels)
        assert sampled.dtype == torch.int64
        assert len(sampled) == int(0.37 * 40)
        assert (sampled.diff() > 0).all()
        assert set(labels.tolist()) <= set(sampled.tolist())


def test_negatives_are_drawn_uniformly() -> None:
    head, labels, steps = _head(0.3), torch.tensor([3, 17, 17]), 4000
    counts = sum(torch.bincount(head.sampled_classes(labels), minlength=40) for _ in range(steps))
    assert isinstance(counts, torch.Tensor)
    assert counts[3] == counts[17] == steps
    others = torch.ones(40, dtype=torch.bool)
    others[[3, 17]] = False
    share = 10 / 38
    spread = math.sqrt(steps * share * (1 - share))
    assert counts[others].sum() == 10 * steps
    assert ((counts[others] - steps * share).abs() < 4.5 * spread).all()


def test_draws_come_from_its_own_generator_alone() -> None:
    embeddings, labels = _batch()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    losses = [
        [head(embeddings, labels).item() for _ in range(5)] for head in (_head(0.3), _head(0.3), _head(0.3, seed=1))
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    assert len(set(losses[0])) == 5  # a fresh sample every step
    assert PartialFC(8, 40, "cosface", 16.0, 0.3, 0.3)(embeddings, labels).isfinite()


def test_initial_centres_do_not_depend_on_the_rate() -> None:
    assert torch.equal(_head(0.3).weight, _head(1.0).weight)
    weight = PartialFC(64, 500, "softmax", 16.0, 0.0, 1.0, init_std=0.02).weight.detach()
    assert weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert abs(weight.mean().item()) < 5e-4


def test_more_positives_than_the_sample_keeps_them_all_and_counts() -> None:
    head = _head(0.1)
    embeddings, _ = _batch(8)
    labels = torch.tensor([9, 1, 30, 4, 22, 9, 39, 0])
    before = head._generator.get_state()
    assert head.sampled_classes(labels).tolist() == [0, 1, 4, 9, 22, 30, 39]
    loss = head(embeddings, labels)
    expected = _by_hand(embeddings, head.weight, labels, [0, 1, 4, 9, 22, 30, 39], "cosface", 16.0, 0.3)
    torch.testing.assert_close(loss, expected)
    assert torch.equal(head._generator.get_state(), before)
    assert head.overflow_steps == 1
    head(embeddings, torch.tensor([1, 1, 2, 2, 3, 3, 4, 4]))  # four classes fit
    assert head.overflow_steps == 1


def test_labels_are_not_modified_and_any_integer_stride_is_taken() -> None:
    head, (embeddings, _) = _head(0.3), _batch(6)
    labels = torch.arange(12)[::2]
    kept = labels.clone()
    assert head(embeddings, labels).isfinite()
    assert torch.equal(labels, kept)


def test_scale_of_rows_does_not_matter_and_loss_is_float32_from_half() -> None:
    head, (embeddings, labels) = _head(1.0), _batch()
    torch.testing.assert_close(head(embeddings, labels), head(37.0 * embeddings, labels))
    assert head(embeddings.bfloat16(), labels).dtype == torch.float32


def test_autocast_lowers_the_product_and_only_the_product() -> None:
    head, (embeddings, labels) = _head(1.0, "arcface", dim=64), _batch(16, dim=64)
    rows, weight = F.normalize(embeddings), F.normalize(head.weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = head(embeddings, labels)
        product = F.linear(rows, weight)
    assert product.dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    expected = margin_softmax_loss(product.float().clamp(-1, 1), labels, "arcface", 16.0, 0.3)
    assert torch.equal(loss, expected)
    assert loss != head(embeddings, labels)


def test_training_separates_the_classes() -> None:
    head, (embeddings, labels) = _head(0.5), _batch(32)
    weight_and_rows = [head.weight, embeddings]
    optimizer = torch.optim.AdamW(weight_and_rows, lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        head(embeddings, labels).backward()
        optimizer.step()
    cosine = F.normalize(embeddings) @ F.normalize(head.weight).T
    assert (cosine.argmax(1) == labels).float().mean() > 0.9


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "arcfac"}, "did you mean 'arcface'"),
        ({"scale": -1.0}, "scale"),
        ({"margin": -0.1}, "margin"),
        ({"sample_rate": 0.0}, "sample_rate"),
        ({"sample_rate": 1.5}, "sample_rate"),
        ({"sample_rate": 0.01}, "less than one"),
        ({"num_classes": 0}, "positive"),
        ({"embed_dim": 0}, "positive"),
        ({"init_std": 0.0}, "init_std"),
    ],
)
def test_refuses_construction(change: dict[str, object], says: str) -> None:
    good = {"embed_dim": 8, "num_classes": 40, "kind": "cosface", "scale": 16.0, "margin": 0.3, "sample_rate": 0.3}
    with pytest.raises(ValueError, match=says):
        PartialFC(**(good | change))  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [0.3, 1.0])
@pytest.mark.parametrize(
    ("embeddings", "labels", "says"),
    [
        (torch.ones(2, 8), torch.tensor([0, 40]), r"\[0, 40\)"),
        (torch.ones(2, 8), torch.tensor([-1, 3]), r"\[0, 40\)"),
        (torch.ones(2, 8), torch.tensor([0.0, 3.0]), "int64"),
        (torch.ones(2, 8), torch.tensor([0, 3], dtype=torch.int32), "int64"),
        (torch.ones(2, 8), torch.tensor([0, 3, 4]), "labels must have shape"),
        (torch.ones(2, 7), torch.tensor([0, 3]), "embeddings must have shape"),
        (torch.ones(0, 8), torch.tensor([], dtype=torch.int64), "embeddings must have shape"),
        (torch.ones(2, 8, dtype=torch.int64), torch.tensor([0, 3]), "floating"),
    ],
)
def test_refuses_a_batch(rate: float, embeddings: torch.Tensor, labels: torch.Tensor, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        _head(rate)(embeddings, labels)


def test_windows_change_which_negatives_are_drawn_and_nothing_else() -> None:
    def head(classes: int, rate: float) -> PartialFC:
        return PartialFC(
            8, classes, "cosface", 16.0, 0.3, rate, sampler="windows", generator=_stream(0), init_generator=_stream(100)
        )

    embeddings, labels = _batch()
    sampled = head(40, 0.5).sampled_classes(labels)
    loss = head(40, 0.5)(embeddings, labels)
    expected = _by_hand(embeddings, _head(0.5).weight, labels, sampled.tolist(), "cosface", 16.0, 0.3)
    torch.testing.assert_close(loss, expected)
    assert len(sampled) <= 20
    assert (sampled.diff() > 0).all()
    assert set(labels.tolist()) <= set(sampled.tolist())
    assert torch.equal(head(40, 1.0)(embeddings, labels), _head(1.0)(embeddings, labels))
