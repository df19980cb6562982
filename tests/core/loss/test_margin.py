"""Margin losses: against pytorch-metric-learning, against finite differences, and at their neutral points."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss

from core.loss.margin import KINDS, margin_logits, margin_softmax_loss


def _rows(seed: int = 0, batch: int = 12, classes: int = 7, dim: int = 5) -> tuple[torch.Tensor, ...]:
    """Embeddings and weights in double, and targets; a few embeddings point away from their target."""
    stream = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(batch, dim, generator=stream, dtype=torch.float64)
    weight = torch.randn(classes, dim, generator=stream, dtype=torch.float64)
    target = torch.randint(classes, (batch,), generator=stream)
    embeddings[:3] = -weight[target[:3]] + 0.05 * embeddings[:3]
    return embeddings, weight, target


def _loss_and_gradients(loss_of: Callable[..., torch.Tensor], *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    loss = loss_of(*leaves)
    return (loss.detach(), *torch.autograd.grad(loss, leaves))


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.5, 1.2])
@pytest.mark.parametrize("kind", ["cosface", "arcface"])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_equals_pytorch_metric_learning(kind: str, margin: float, scale: float) -> None:
    embeddings, weight, target = _rows()
    peer: torch.nn.Module
    if kind == "cosface":
        peer = CosFaceLoss(7, 5, margin=margin, scale=scale)
    else:
        peer = ArcFaceLoss(7, 5, margin=math.degrees(margin), scale=scale)
    peer.W = torch.nn.Parameter(weight.T.clone())
    leaf = embeddings.clone().requires_grad_()
    expected = peer(leaf, target)
    expected.backward()

    def ours(rows: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
        return margin_softmax_loss(F.normalize(rows) @ F.normalize(centres).T, target, kind, scale, margin)

    loss, by_rows, by_centres = _loss_and_gradients(ours, embeddings, weight)
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(by_rows, leaf.grad, rtol=1e-7, atol=1e-9)
    assert peer.W.grad is not None
    torch.testing.assert_close(by_centres, peer.W.grad.T, rtol=1e-7, atol=1e-9)


def test_the_guard_was_met_by_the_comparison() -> None:
    embeddings, weight, target = _rows()
    cosine = (F.normalize(embeddings) @ F.normalize(weight).T).gather(1, target[:, None])
    assert (cosine < -math.cos(0.5)).sum() >= 3
    assert (cosine > -math.cos(0.5)).sum() >= 3


@pytest.mark.parametrize("kind", ["softmax", "cosface", "arcface"])
def test_gradient_is_that_of_finite_differences(kind: str) -> None:
    embeddings, weight, target = _rows(1)
    cosine = (F.normalize(embeddings) @ F.normalize(weight).T).requires_grad_()
    assert torch.autograd.gradcheck(lambda c: margin_softmax_loss(c, target, kind, 8.0, 0.3), (cosine,))


def test_straight_through_is_cos_of_the_sum_with_slope_one() -> None:
    cosine = torch.linspace(-1, 1, 201, dtype=torch.float64)[:, None].requires_grad_()
    target = torch.zeros(201, dtype=torch.int64)
    logits = margin_logits(cosine, target, "arcface_straight_through", 4.0, 0.5)
    torch.testing.assert_close(logits.detach(), 4 * torch.cos(torch.acos(cosine.detach()) + 0.5))
    (slope,) = torch.autograd.grad(logits.sum(), cosine)
    assert torch.equal(slope, torch.full_like(slope, 4.0))


def test_exact_arcface_has_the_published_slope_and_falls_with_the_angle() -> None:
    theta = torch.linspace(0.01, math.pi - 0.01, 400, dtype=torch.float64)
    cosine = theta.cos()[:, None].requires_grad_()
    logits = margin_logits(cosine, torch.zeros(400, dtype=torch.int64), "arcface", 1.0, 0.5)
    assert (logits.detach().flatten().diff() < 0).all()
    (slope,) = torch.autograd.grad(logits.sum(), cosine)
    exact = torch.where(theta <= math.pi - 0.5, torch.sin(theta + 0.5) / torch.sin(theta), 1.0)
    torch.testing.assert_close(slope.flatten(), exact)


def test_without_the_guard_the_logit_rises_again() -> None:
    theta = torch.linspace(math.pi - 0.4, math.pi - 0.01, 40)
    logits = margin_logits(
        theta.cos()[:, None], torch.zeros(40, dtype=torch.int64), "arcface_straight_through", 1.0, 0.5
    )
    assert (logits.flatten().diff() > 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("margin", [0.0, 0.5, math.pi])
def test_gradient_is_finite_at_cosines_of_one(kind: str, dtype: torch.dtype, margin: float) -> None:
    cosine = torch.tensor([[1.0, 0.2], [-1.0, 0.2], [0.2, 1.0], [1.0 + 2e-7, 0.0]], dtype=dtype, requires_grad=True)
    loss = margin_softmax_loss(cosine, torch.tensor([0, 0, 1, 0]), kind, 64.0, margin)
    (gradient,) = torch.autograd.grad(loss, cosine)
    assert loss.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_margin_zero_is_scaled_softmax(kind: str) -> None:
    cosine = torch.rand(16, 9, generator=torch.Generator().manual_seed(2)) * 2 - 1
    cosine[0, 0], cosine[1, 1] = 1.0, -1.0
    target = torch.arange(16) % 9
    assert torch.equal(margin_logits(cosine, target, kind, 64.0, 0.0), 64.0 * cosine)
    loss, gradient = _loss_and_gradients(lambda c: margin_softmax_loss(c, target, kind, 64.0, 0.0), cosine)
    expected, slope = _loss_and_gradients(lambda c: F.cross_entropy(64.0 * c, target), cosine)
    assert torch.equal(loss, expected)
    torch.testing.assert_close(gradient, slope)


def test_softmax_does_not_use_its_margin() -> None:
    cosine, target = torch.tensor([[0.5, 0.1]]), torch.tensor([0])
    assert torch.equal(margin_logits(cosine, target, "softmax", 8.0, 0.4), 8.0 * cosine)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_only_targets_change_and_the_input_does_not(kind: str) -> None:
    cosine = torch.rand(6, 5, generator=torch.Generator().manual_seed(3)) * 0.9
    before, target = cosine.clone(), torch.tensor([0, 1, 2, 3, 4, 4])
    logits = margin_logits(cosine, target, kind, 10.0, 0.3)
    assert torch.equal(cosine, before)
    changed = logits != 10.0 * cosine
    assert torch.equal(changed, F.one_hot(target, 5).bool())
    assert (logits[changed] < 10.0 * cosine[changed]).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    cosine = (torch.rand(4, 3, generator=torch.Generator().manual_seed(4)) * 0.9).to(dtype)
    target = torch.tensor([0, 1, 2, 0])
    for kind in KINDS:
        loss = margin_softmax_loss(cosine, target, kind, 64.0, 0.3)
        assert loss.dtype == torch.float32
        assert torch.equal(loss, margin_softmax_loss(cosine.float(), target, kind, 64.0, 0.3))


_COSINE, _TARGET = torch.zeros(2, 3), torch.tensor([0, 2])


@pytest.mark.parametrize(
    ("cosine", "target", "kind", "scale", "margin", "says"),
    [
        (_COSINE, _TARGET, "cosfaec", 64.0, 0.4, "did you mean 'cosface'"),
        (_COSINE, _TARGET, "cosface", 0.0, 0.4, "scale"),
        (_COSINE, _TARGET, "cosface", math.inf, 0.4, "scale"),
        (_COSINE, _TARGET, "cosface", 64.0, -0.1, "margin"),
        (_COSINE, _TARGET, "cosface", 64.0, math.nan, "margin"),
        (_COSINE, _TARGET, "arcface", 64.0, 28.6, "radians"),
        (_COSINE, torch.tensor([0, 3]), "cosface", 64.0, 0.4, r"\[0, 3\)"),
        (_COSINE, torch.tensor([-1, 0]), "cosface", 64.0, 0.4, r"\[0, 3\)"),
        (_COSINE, torch.tensor([0.0, 1.0]), "cosface", 64.0, 0.4, "int64"),
        (_COSINE, torch.tensor([0]), "cosface", 64.0, 0.4, "shape"),
        (_COSINE[0], _TARGET, "cosface", 64.0, 0.4, "shape"),
        (_COSINE[:0], _TARGET[:0], "cosface", 64.0, 0.4, "shape"),
        (_COSINE.long(), _TARGET, "cosface", 64.0, 0.4, "floating"),
    ],
)
def test_refuses(cosine: torch.Tensor, target: torch.Tensor, kind: str, scale: float, margin: float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        margin_softmax_loss(cosine, target, kind, scale, margin)
