"""Distillation losses against their definitions in numpy, and the size of the record's one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from core.loss.distillation import KINDS, NEEDS_PROJECTION, distillation_loss


def _features(batch: int = 9, student: int = 16, teacher: int = 16, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    return torch.randn(batch, student, generator=stream), torch.randn(batch, teacher, generator=stream)


def _unit(rows: torch.Tensor) -> np.ndarray:
    array = rows.double().numpy()
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def _kl(teacher_logits: np.ndarray, student_logits: np.ndarray) -> float:
    """Mean over rows of KL(teacher || student)."""
    p, q = log_softmax(teacher_logits, axis=1), log_softmax(student_logits, axis=1)
    return float((np.exp(p) * (p - q)).sum(1).mean())


@pytest.mark.parametrize("temperature", [1.0, 0.05])
def test_kld_is_the_divergence_of_softmaxed_components(temperature: float) -> None:
    student, teacher = _features()
    expected = _kl(_unit(teacher) / temperature, _unit(student) / temperature)
    assert distillation_loss(student, teacher, "kld", temperature).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("closeness", [0.0, 1.0, 4.0])
def test_kld_at_temperature_one_is_the_squared_distance_over_twice_the_width(closeness: float) -> None:
    student, teacher = _features(64, 512, 512)
    student = student.double() + closeness * teacher.double()
    distance = ((_unit(student) - _unit(teacher)) ** 2).sum(1).mean()
    loss = distillation_loss(student, teacher.double(), "kld", 1.0).item()
    assert loss == pytest.approx(distance / (2 * 512), rel=5e-3)
    assert loss < 4e-3


def test_cosine_is_one_minus_the_cosine_and_ignores_the_temperature() -> None:
    student, teacher = _features()
    expected = 1 - (_unit(student) * _unit(teacher)).sum(1).mean()
    for temperature in (1.0, 0.05):
        assert distillation_loss(student, teacher, "cosine", temperature).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("batch", [3, 9])
def test_similarity_compares_the_other_images_of_the_batch(batch: int) -> None:
    student, teacher = _features(batch, student=16, teacher=24)
    s, t = _unit(student) @ _unit(student).T, _unit(teacher) @ _unit(teacher).T
    others = [[j for j in range(batch) if j != i] for i in range(batch)]
    rows_s = np.array([s[i, others[i]] for i in range(batch)])
    rows_t = np.array([t[i, others[i]] for i in range(batch)])
    loss = distillation_loss(student, teacher, "similarity", 0.07)
    assert loss.item() == pytest.approx(_kl(rows_t / 0.07, rows_s / 0.07), rel=1e-4)


def test_similarity_does_not_see_a_rotation() -> None:
    _, teacher = _features(teacher=16)
    rotation = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(3))).Q
    assert distillation_loss(teacher @ rotation, teacher, "similarity", 0.1).item() == pytest.approx(0, abs=1e-5)
    assert distillation_loss(teacher @ rotation, teacher, "cosine", 0.1).item() > 0.5


@pytest.mark.parametrize("kind", KINDS[1:])
def test_zero_at_the_teacher_falls_towards_it_and_ignores_lengths(kind: str) -> None:
    student, teacher = (rows.double() for rows in _features())
    losses = [distillation_loss(torch.lerp(student, teacher, x), teacher, kind, 0.5).item() for x in (0, 0.5, 1)]
    assert losses[0] > losses[1] > losses[2]
    assert losses[2] == pytest.approx(0, abs=1e-12)
    longer = distillation_loss(5 * student, 0.1 * teacher, kind, 0.5).item()
    assert longer == pytest.approx(losses[0], rel=1e-9)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_gradient_reaches_the_student_only_and_is_exact(kind: str) -> None:
    student, teacher = (rows.double().requires_grad_() for rows in _features(4, 5, 5))
    distillation_loss(student, teacher, kind, 0.7).backward()
    assert teacher.grad is None
    fixed = teacher.detach()
    assert torch.autograd.gradcheck(lambda s: distillation_loss(s, fixed, kind, 0.7), (student,))


def test_none_adds_nothing_to_the_bit() -> None:
    student, teacher = _features()
    loss = distillation_loss(student * math.nan, teacher, "none", 1.0)
    base = torch.tensor(1.2345678)
    assert torch.equal(base + 3.0 * loss, base)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_autocast_does_not_lower_the_precision(kind: str) -> None:
    student, teacher = _features()
    expected = distillation_loss(student, teacher, kind, 0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(distillation_loss(student, teacher, kind, 0.1), expected)
    assert distillation_loss(student.bfloat16(), teacher, kind, 0.1).dtype == torch.float32


def test_projected_kinds_are_those_that_need_equal_widths() -> None:
    student, teacher = _features(student=8)
    for kind in KINDS[1:]:
        if kind in NEEDS_PROJECTION:
            with pytest.raises(ValueError, match="projected"):
                distillation_loss(student, teacher, kind, 1.0)
        else:
            assert distillation_loss(student, teacher, kind, 1.0).isfinite()


@pytest.mark.parametrize(
    ("rows", "kind", "temperature", "says"),
    [
        (9, "kldd", 1.0, "did you mean 'kld'"),
        (9, "kld", 0.0, "temperature"),
        (9, "kld", math.inf, "temperature"),
        (8, "kld", 1.0, "as many rows"),
        (0, "kld", 1.0, "as many rows"),
    ],
)
def test_refuses(rows: int, kind: str, temperature: float, says: str) -> None:
    student, teacher = _features()
    with pytest.raises(ValueError, match=says):
        distillation_loss(student[:rows], teacher, kind, temperature)


@pytest.mark.parametrize("batch", [1, 2])
def test_similarity_refuses_a_batch_with_nothing_to_compare(batch: int) -> None:
    student, teacher = _features(batch)
    with pytest.raises(ValueError, match="at least 3"):
        distillation_loss(student, teacher, "similarity", 1.0)
