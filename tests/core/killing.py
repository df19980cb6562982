"""A run that a test kills at a chosen place: what a worker does, in a process of its own, with a trap set."""

from __future__ import annotations

import functools
import os
import pathlib
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import core.checkpoint
import core.loop
import core.store
import core.trainer
from core.config import RunConfig
from core.inputs import run_key
from core.store import CHECKPOINT, Store
from core.training_state import Trainer

# Six steps of 8 samples, and 32 classes, so that the order of the classes is drawn twice.
TINY: dict[str, Any] = {
    "model.pretrained": "none", "data.pool": 12, "data.images": 4, "data.expansion": 8, "data.image_size": 32,
    "model.embed_dim": 16,
    "optim.batch_size": 8, "optim.samples": 48, "eval.identities": 6, "eval.validation_identities": 4,
    "eval.captures": 2, "eval.points": 2, "runtime.threads": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Trap:
    """SIGKILL just before (or after) the `count`-th call of `place`; a file's name restricts it to calls about it."""

    place: str
    count: int = 1
    after: bool = False
    file: str = ""


# Where a run can be killed: the object that a function is looked up in, and its name.
PLACES: dict[str, tuple[Any, str]] = {
    "begin": (core.loop, "begin"),  # materials are loaded, nothing is judged
    "step": (Trainer, "step"),
    "save": (core.checkpoint.Saver, "save"),
    "write": (core.checkpoint._Hashed, "write"),  # a part of a checkpoint
    "publish": (core.store, "publish"),  # a temporary file is written, but not synced
    "rename": (pathlib.Path, "replace"),
    "judge": (core.trainer, "evaluate"),
    "unlink": (pathlib.Path, "unlink"),
}


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def set_trap(trap: Trap) -> None:
    """From here on this process dies where the trap says."""
    owner, name = PLACES[trap.place]
    original: Callable[..., Any] = getattr(owner, name)
    left = trap.count

    @functools.wraps(original)
    def trapped(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= not trap.file or any(isinstance(one, Path) and one.name == trap.file for one in arguments)
        armed = left == 0
        if armed and not trap.after:
            if trap.place == "write":
                arguments[0].flush()  # what is in the buffer would be lost with the process
            kill()
        result = original(*arguments, **named)
        if armed:
            kill()
        return result

    setattr(owner, name, trapped)
    if trap.place == "begin":
        core.trainer.begin = trapped  # type: ignore[attr-defined]


def attempt(root: str, overrides: dict[str, Any], trap: Trap | None = None, every: float | None = 0.0) -> None:
    """Train one run into the store at `root`, from its checkpoint; `every` None: without checkpoints."""
    core.checkpoint.SAVE_EVERY = every or 0.0
    store, config = Store(root), RunConfig().with_overrides({**TINY, **overrides})
    key = run_key(config)
    if trap:
        set_trap(trap)
    store.begin(key, config.to_yaml())
    result = core.trainer.train(
        config, log=lambda curve: store.log(key, curve),
        checkpoint=None if every is None else store.path(key, CHECKPOINT),
    )  # fmt: skip
    store.finish(key, result.to_json(), result.scores)
