"""One run on several ranks: losses and state of one, for every kind of arm, and each other's checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache, partial
from typing import Any

import pytest
import torch

from core.config import RunConfig
from core.errors import RunFailure, UserError
from core.materials import load_materials
from core.model import sync_norm
from core.model.embedder import Centring
from core.precision import matmul_precision
from core.ranks import ALONE, Part, Ranks
from core.training_state import Trainer
from tests.core.killing import TINY
from tests.core.together import together

STEPS = 4
FAST = {"loss.sampler": "windows", "loss.centre_update": "row_scalar"}
CLIP = {"distill.weight": 50.0, "optim.batch_size": 7}
# The batch is odd in some, so that ranks have unequal parts; with 32 classes a rate of 0.15 leaves room for four.
ARMS: dict[str, dict[str, Any]] = {
    "documented": {"loss.sample_rate": 0.5},
    "all classes, bn": {"model.norm": "bn", "loss.sample_rate": 1.0, "loss.kind": "arcface", "optim.batch_size": 7},
    "overflow, ln_bn": {"model.norm": "ln_bn", "loss.sample_rate": 0.15, "loss.kind": "arcface_straight_through"},
    "softmax, gap, documented views": {
        "loss.kind": "softmax", "loss.scale": 16.0, "model.neck": "gap", "data.augment": "documented",
    },
    "kld, clean view": {**CLIP, "distill.kind": "kld", "distill.clean_view": True, "model.neck": "squeeze"},
    "cosine": {**CLIP, "distill.kind": "cosine", "model.norm": "ln_centre"},
    "similarity": {**CLIP, "distill.kind": "similarity", "data.augment": "geometric"},
    "fast": {**FAST, "loss.sample_rate": 0.5, "model.norm": "bn"},
    "fast, all classes": {**FAST, "loss.sample_rate": 1.0, "optim.batch_size": 7},
    "fast, overflow": {**FAST, "loss.sample_rate": 0.15, "loss.scale": 1000.0},
    "fast, uniform": {"loss.centre_update": "rows", "loss.sample_rate": 0.5, "loss.kind": "arcface"},
}  # fmt: skip
# What could be right for two and wrong for four: parts of no row, unequal parts, sums of parts.
OF_FOUR = ("documented", "overflow, ln_bn", "kld, clean view", "fast", "fast, overflow", "fast, uniform")
CASES = [*((2, arm) for arm in ARMS), *((4, arm) for arm in OF_FOUR)]
GONE_ON = ("kld, clean view", "overflow, ln_bn", "fast", "fast, uniform")


def trainer_of(arm: str, ranks: Ranks, **changes: Any) -> Trainer:
    """In double precision, so that nothing but the order of sums differs between numbers of ranks."""
    config = RunConfig().with_overrides({**TINY, "data.augment": "photographed", **ARMS[arm], **changes})
    torch.set_default_dtype(torch.float64)
    try:
        trainer = Trainer(config, load_materials(config), ranks)
    finally:
        torch.set_default_dtype(torch.float32)
    single = trainer.batches.augment
    trainer.batches.augment = lambda *given: single(*given).double()
    return trainer


def steps(trainer: Trainer, first: int, count: int) -> list[float]:
    """The losses of some steps, of the whole batch."""
    losses: list[float] = []
    trainer._refuse_unsound = lambda index, loss, norm: losses.extend((loss, norm))  # type: ignore[method-assign]
    trainer.embedder.train()
    with matmul_precision("highest"):
        for index in range(first, first + count):
            trainer.step(index)
    return losses


def trained(ranks: Ranks, arms: list[str]) -> dict[str, Any]:
    """Losses, gradient norms and the whole state after `STEPS` steps of every arm."""
    found = {}
    for arm in arms:
        trainer = trainer_of(arm, ranks)
        found[arm] = steps(trainer, 0, STEPS), deepcopy(trainer.state())
    return found


def gone_on(ranks: Ranks, states: dict[str, Any]) -> dict[str, Any]:
    """As `trained`, from the states that others left after `STEPS` steps."""
    found = {}
    for arm, state in states.items():
        trainer = trainer_of(arm, ranks)
        trainer.load(deepcopy(state))
        found[arm] = steps(trainer, STEPS, 2), trainer.state()
    return found


def tensors(state: Any, path: str = "") -> dict[str, torch.Tensor]:
    """Every tensor of nested state by its path."""
    if isinstance(state, torch.Tensor):
        return {path: state}
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list | tuple) else ()
    return {name: one for key, value in items for name, one in tensors(value, f"{path}/{key}").items()}


def assert_equal(got: Any, expected: Any) -> None:
    (losses, state), (their_losses, their_state) = got, expected
    assert losses == pytest.approx(their_losses, rel=1e-9)
    ours, theirs = tensors(state), tensors(their_state)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        close = partial(torch.testing.assert_close, rtol=1e-6, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}")
        close(value, theirs[name])


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return trained(ALONE, list(ARMS))


@pytest.fixture(scope="module")
def several() -> Callable[[int], list[dict[str, Any]]]:
    """What `trained` gives on each of so many ranks."""
    return cache(lambda count: together(count, trained, [arm for number, arm in CASES if number == count]))


@pytest.mark.parametrize(("count", "arm"), CASES)
def test_losses_and_state_are_those_of_one_process(
    count: int, arm: str, alone: dict[str, Any], several: Callable[[int], list[dict[str, Any]]]
) -> None:
    leader, *others = several(count)
    assert_equal(leader[arm], alone[arm])
    for rank in others:  # the state is whole on the leader alone
        assert rank[arm][0] == pytest.approx(alone[arm][0], rel=1e-9)


@pytest.fixture(scope="module")
def expected(alone: dict[str, Any]) -> dict[str, Any]:
    return gone_on(ALONE, {arm: alone[arm][1] for arm in GONE_ON})


@pytest.mark.parametrize("count", [2, 4])
def test_a_checkpoint_of_one_number_of_ranks_goes_on_with_another(
    count: int, alone: dict[str, Any], several: Callable[[int], list[dict[str, Any]]], expected: dict[str, Any]
) -> None:
    ours = gone_on(ALONE, {arm: several(count)[0][arm][1] for arm in GONE_ON})
    theirs = together(count, gone_on, {arm: alone[arm][1] for arm in GONE_ON})[0]
    for arm in GONE_ON:
        assert_equal(ours[arm], expected[arm])
        assert_equal(theirs[arm], expected[arm])


def in_low_precision(ranks: Ranks) -> dict[str, list[float]]:
    found = {}
    for mode in ("bf16", "fp16"):
        for head in ({}, FAST):
            config = RunConfig().with_overrides({**TINY, "precision.mode": mode, "optim.lr": 1e-4, **head})
            found[f"{mode} {bool(head)}"] = steps(Trainer(config, load_materials(config), ranks), 0, STEPS)
    return found


def test_lower_precision_trains_alike_to_its_own_rounding() -> None:
    expected, got = in_low_precision(ALONE), together(2, in_low_precision)
    for mode, losses in expected.items():
        assert got[0][mode][::2] == got[1][mode][::2]  # without norms: of a step that the scaler skips it is no number
        assert got[0][mode][::2] == pytest.approx(losses[::2], rel=2e-2)


def collected(ranks: Ranks) -> dict[str, Any]:
    found: dict[str, Any] = {}
    rows = torch.arange(7.0)[:, None].requires_grad_()
    part = ranks.part(7)
    whole = ranks.gather_shared(rows[part.rows], 7)
    (whole * (ranks.index + 1)).sum().backward()
    found["shared"] = whole.flatten().tolist(), rows.grad[part.rows].flatten().tolist()  # type: ignore[index]
    rows.grad = None
    (ranks.gather_same(rows[part.rows], 7) * 5).sum().backward()
    found["same"] = rows.grad[part.rows].flatten().tolist()  # type: ignore[index]
    found["bytes"] = ranks.gather(torch.arange(7, dtype=torch.int32)[part.rows], 7).tolist()
    found["collected"] = ranks.collect(torch.arange(14, dtype=torch.int32).view(7, 2)[part.rows], 7).flatten().tolist()
    found["sent"] = ranks.send({"of": ranks.index}), ranks.agree(ranks.leads)
    found["alike"] = ranks.same(ranks.leads), ranks.same("all")
    found["led"] = ranks.lead(lambda: ranks.index)
    for error in (RunFailure("no_space", "none left"), UserError("no such folder"), OSError("a disk")):
        try:
            ranks.lead(partial(_fail, error))
        except Exception as met:
            found[type(error).__name__] = type(met).__name__, str(met), getattr(met, "kind", ""), ranks.shares(met)
    found["own"] = ranks.shares(MemoryError()), ranks.shares(RunFailure("diverged", "at step 3"))
    return found


def _fail(error: Exception) -> None:
    raise error


def test_collectives() -> None:
    first, second = together(2, collected)
    assert first["shared"] == ([0, 1, 2, 3, 4, 5, 6], [3, 3, 3, 3])  # 1 by the first rank and 2 by the second
    assert second["shared"] == ([0, 1, 2, 3, 4, 5, 6], [3, 3, 3])
    assert (first["same"], second["same"]) == ([5] * 4, [5] * 3)
    assert (first["collected"], second["collected"]) == (list(range(14)), [])
    for rank in (first, second):
        assert rank["bytes"] == list(range(7))
        assert rank["sent"] == ({"of": 0}, True)
        assert rank["alike"] == (False, True)
        assert rank["led"] == 0
        assert rank["own"] == (False, True)
    assert first["OSError"] == ("OSError", "a disk", "", True)
    assert second["OSError"] == ("RunFailure", "a disk", "error", True)
    for rank in (first, second):
        assert rank["RunFailure"] == ("RunFailure", "none left", "no_space", True)
        assert rank["UserError"] == ("UserError", "no such folder", "", True)


@pytest.mark.parametrize(("total", "count"), [(7, 2), (10, 4), (3, 4), (0, 2)])
def test_parts_are_neighbours_and_even(total: int, count: int) -> None:
    parts = [Ranks(0, count).part(total, index) for index in range(count)]
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(total))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) == sizes[0]
    assert parts[0] == Part(0, sizes[0], total)


def normed(ranks: Ranks, shape: tuple[int, ...]) -> list[torch.Tensor]:
    """Outputs, gradients and running statistics of a BatchNorm over rows far from zero, on a part of them."""
    draws = torch.Generator().manual_seed(0)
    rows = (torch.randn(shape, generator=draws, dtype=torch.float64) + 1000).requires_grad_()
    upstream = torch.randn(shape, generator=draws, dtype=torch.float64)
    kind = torch.nn.BatchNorm1d if len(shape) == 2 else torch.nn.BatchNorm2d
    norm = sync_norm.synchronise(kind(shape[1]).double(), ranks)
    part = ranks.part(shape[0]).rows
    out = norm(rows[part])
    (out * upstream[part]).sum().backward()
    weights = [ranks.sum_(one.grad) for one in norm.parameters()]  # type: ignore[arg-type]
    return [out.detach(), rows.grad[part], *weights, *norm.buffers()]  # type: ignore[index]


@pytest.mark.parametrize("shape", [(5, 3), (6, 3, 2, 4)])
def test_batch_norm_over_ranks_is_pytorchs_over_the_whole(shape: tuple[int, ...]) -> None:
    expected = normed(ALONE, shape)
    for index, got in enumerate(together(2, normed, shape)):
        part = Ranks(index, 2).part(shape[0]).rows
        for place, (ours, theirs) in enumerate(zip(got, expected, strict=True)):
            torch.testing.assert_close(ours, theirs[part] if place < 2 else theirs, rtol=1e-9, atol=1e-9)


def test_in_evaluation_and_alone_norms_are_left_as_they_are() -> None:
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(2), Centring(2))
    assert type(sync_norm.synchronise(model, ALONE)[0]) is torch.nn.BatchNorm1d  # type: ignore[index]
    names = list(model.state_dict())
    synced = sync_norm.synchronise(model, Ranks(0, 2)).eval()
    assert list(synced.state_dict()) == names
    assert synced(torch.ones(3, 2)).shape == (3, 2)
