"""A training loop that goes on where it was stopped: used to make the embedded weights, which takes many minutes.

The checkpoint holds everything that the next step depends on, so that a stopped and resumed run ends with the
same bytes as one that was never stopped (on one machine and thread count).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.checkpoint import Saver
from core.checkpoint import identity as identity_of
from core.clock import Stopwatch
from core.data.rendering import Progress
from core.errors import RunFailure
from core.schedule import ClassOrder, learning_rate_factor

_SMOOTHING = 0.01  # of the running mean of the loss
_SAVE_EVERY = 60.0  # seconds
_REPORT_EVERY = 8  # steps


@dataclass
class Training:
    """What is trained, with every random stream that its steps draw from.

    Args:
        identity: decides, with the code and the machine, whether a checkpoint is of this training; all else that
            changes the result belongs in it.
        modules: by name; all their parameters are trained.
    """

    identity: str
    modules: Mapping[str, nn.Module]
    optimizer: torch.optim.Optimizer
    order: ClassOrder
    streams: Mapping[str, torch.Generator]
    step: int = 0
    loss: float = math.nan
    seconds: float = 0.0

    def parameters(self) -> list[nn.Parameter]:
        return [parameter for module in self.modules.values() for parameter in module.parameters()]

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step, "loss": self.loss, "seconds": self.seconds,
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "optimizer": self.optimizer.state_dict(),
            "order": self.order.state(),
            "streams": {name: stream.get_state() for name, stream in self.streams.items()},
        }  # fmt: skip

    def saver(self, path: Path, every: float | None = None) -> Saver:
        """Writes and reads the checkpoints of this training."""
        return Saver(path, identity_of(self.identity, "cpu"), every)

    def resume(self, path: Path) -> bool:
        """Take up the checkpoint at `path`; a missing or damaged one, or one of another training, is left aside."""
        state = self.saver(path).read()
        if state is None:
            return False
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.order.load(state["order"])
        for name, stream in self.streams.items():
            stream.set_state(state["streams"][name])
        self.step, self.loss, self.seconds = state["step"], state["loss"], state["seconds"]
        return True


def run(
    training: Training,
    steps: int,
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    *,
    lr: float,
    warmup: float,
    clip: float,
    checkpoint: Path,
    what: str,
    progress: Progress | None = None,
    save_every: float = _SAVE_EVERY,
) -> None:
    """Train to `steps`, from the checkpoint where there is one; to remove it is the caller's, once all is written.

    Args:
        loss_of: class ids of a batch -> the loss, drawing only from the training's streams.
        lr: peak of the linear warm-up and decay.
        save_every: seconds between checkpoints.

    Raises:
        RunFailure: `diverged`, `no_space` or `store_not_writable`.
    """
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    training.resume(checkpoint)
    saver = training.saver(checkpoint, save_every)
    parameters = training.parameters()
    batch = training.order.batch_size
    spent = Stopwatch(training.seconds)
    while training.step < steps:
        loss = loss_of(training.order.next())
        training.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, clip)
        value = loss.item()
        if not (math.isfinite(value) and torch.isfinite(norm)):  # before weights are lost by it, and kept
            told = f"the loss is {value}, and the norm of its gradient {float(norm)},"
            raise RunFailure("diverged", f"{what}: {told} at step {training.step + 1} of {steps}")
        for group in training.optimizer.param_groups:
            group["lr"] = lr * learning_rate_factor(training.step, steps, warmup)
        training.optimizer.step()
        training.loss = value if math.isnan(training.loss) else training.loss + _SMOOTHING * (value - training.loss)
        training.step += 1
        training.seconds = spent.seconds()
        if saver.due() or training.step == steps:
            saver.save(training.state(), training.step * batch, steps * batch)
        if progress and (training.step % _REPORT_EVERY == 0 or training.step == steps):
            progress(f"{what}, loss {training.loss:.2f}", training.step * batch, steps * batch)
