"""A stopped and resumed training ends with the same bytes as one that was never stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from core.errors import RunFailure
from core.resumable import Training, run
from core.schedule import ClassOrder

STEPS = 12


class Stopped(Exception):
    pass


def made(identity: str = "one") -> tuple[Training, nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 5))
    order, noise = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, fused=True)
    # 7 classes in batches of 3: the rest of a permutation has to survive the stop, too.
    training = Training(identity, {"net": net}, optimizer, ClassOrder(7, 3, order), {"order": order, "noise": noise})
    return training, net


def carry_out(training: Training, net: nn.Module, path: Path, stop_at: int | None = None, scale: float = 1.0) -> None:
    def loss_of(classes: torch.Tensor) -> torch.Tensor:
        if training.step == stop_at:
            raise Stopped
        x = torch.randn(3, 4, generator=training.streams["noise"]) + classes[:, None]
        return scale * nn.functional.cross_entropy(net(x), classes % 5)

    run(training, STEPS, loss_of, lr=1e-2, warmup=0.2, clip=1.0, checkpoint=path, what="net", save_every=0.0)


@pytest.mark.parametrize("stop_at", [1, 5, 11])
def test_resumed_is_equal_to_the_bit(tmp_path: Path, stop_at: int) -> None:
    whole, net = made()
    carry_out(whole, net, tmp_path / "whole")
    first, stopped_net = made()
    with pytest.raises(Stopped):
        carry_out(first, stopped_net, tmp_path / "parts", stop_at)
    second, resumed_net = made()
    carry_out(second, resumed_net, tmp_path / "parts")
    assert second.step == STEPS
    assert second.loss == whole.loss
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, resumed_net.state_dict()[name]), name


@pytest.mark.parametrize("damage", ["another training", "cut", "empty"])
def test_a_checkpoint_that_cannot_be_used_is_left_aside(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "checkpoint"
    first, net = made()
    with pytest.raises(Stopped):
        carry_out(first, net, path, 6)
    if damage != "another training":
        path.write_bytes(b"" if damage == "empty" else path.read_bytes()[:-100])
    training, _ = made("two" if damage == "another training" else "one")
    assert not training.resume(path)
    assert training.step == 0


def test_a_loss_that_is_not_finite_is_a_typed_failure(tmp_path: Path) -> None:
    training, net = made()
    with pytest.raises(RunFailure, match="step 1 of 12") as caught:
        carry_out(training, net, tmp_path / "checkpoint", scale=float("nan"))
    assert caught.value.kind == "diverged"


def test_weights_that_a_gradient_would_lose_are_not_kept(tmp_path: Path) -> None:
    """Its loss is finite, and was found before the step."""
    training, net = made()
    path = tmp_path / "checkpoint"

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * (float("nan") if training.step == 4 else 1.0)

    hook = next(net.parameters()).register_hook(spoil)
    with pytest.raises(RunFailure, match=r"the loss is \d\.\d+, and the norm of its gradient nan, at step 5 of 12"):
        carry_out(training, net, path)
    hook.remove()
    again, net = made()
    carry_out(again, net, path)
    assert again.step == STEPS
    assert all(torch.isfinite(one).all() for one in net.state_dict().values())
