"""The loop of one run: steps, validations, and checkpoints to go on from, which change nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch

from core.checkpoint import Saver
from core.clock import Stopwatch
from core.config import RunConfig
from core.data.rendering import Progress
from core.training_state import Trainer

_AGREE_EVERY = 10  # steps between questions of several ranks whether a checkpoint is due
Log = Callable[[Sequence[dict[str, float]]], None]


@dataclass
class Course:
    """What a run has come to, besides the state of its trainer.

    Attributes:
        untrained: validation metrics before the first step.
        curve: the validations so far.
        step: steps done.
        resumed: how often the run went on from a checkpoint; its timings are of so many pieces and one.
        run_seconds, loop_seconds: of the whole run and of its loop at the last checkpoint.
    """

    untrained: dict[str, float]
    curve: list[dict[str, float]] = field(default_factory=list)
    step: int = 0
    resumed: int = 0
    run_seconds: float = 0.0
    loop_seconds: float = 0.0


def begin(trainer: Trainer, kept: dict[str, Any] | None) -> Course:
    """The course of a run that starts, or that goes on from what a checkpoint kept."""
    if kept is None:
        return Course(trainer.judge())
    trainer.load(kept["trainer"])
    course = Course(**kept["course"])
    course.resumed += 1
    return course


def threads_of(config: RunConfig, kept: dict[str, Any] | None) -> RunConfig:
    """The configuration with as many threads as the run began with: on the CPU another number changes bits."""
    if kept is None or config.runtime.device != "cpu":
        return config
    return config.with_overrides({"runtime.threads": kept["threads"]})


def _validated(steps: int, points: int) -> Collection[int]:
    """The numbers of steps after which to validate: `points` of them, evenly, or all where there are no more."""
    return range(1, steps + 1) if points >= steps else {math.ceil(steps * (i + 1) / points) for i in range(points)}


def run_steps(
    trainer: Trainer, course: Course, whole: Stopwatch, saver: Saver | None, progress: Progress | None, log: Log | None
) -> None:
    """Train to the last step, from wherever `course` is.

    Args:
        whole: seconds of the run.
        saver: of the checkpoints, if any are wanted.
        progress, log: as in `core.trainer.train`.
    """
    config, ranks = trainer.config, trainer.ranks
    steps, batch = config.optim.steps, config.optim.batch_size
    validate_after = _validated(steps, config.eval.points)
    loop = Stopwatch(course.loop_seconds)
    trainer.embedder.train()

    def tell() -> None:
        if log and course.curve:
            log(course.curve)

    ranks.lead(tell)  # the store clears what an interrupted attempt wrote
    if saver:
        saver.start()
    while course.step < steps:
        trainer.step(course.step)
        course.step += 1
        if course.step in validate_after:
            course.curve.append(trainer.validate(course.step * batch, loop.seconds()))
            ranks.lead(tell)
        # After the last step, too, so that a kill while the run is judged does not lose a long training.
        last = course.step == steps
        asked = saver and (ranks.alone or last or course.step % _AGREE_EVERY == 0)
        if saver and asked and ranks.agree(saver.due() or (last and loop.seconds() > saver.every)):
            trainer.look()  # a checkpoint of lost weights would make every further attempt fail at once
            with trainer.clock.time("checkpoints"):
                course.run_seconds, course.loop_seconds = whole.seconds(), loop.seconds()
                kept = {"threads": torch.get_num_threads(), "trainer": trainer.state(), "course": asdict(course)}
                ranks.lead(partial(saver.save, kept, course.step * batch, steps * batch))
                del kept
        if progress and (course.step % 8 == 0 or last):
            progress("training", course.step * batch, steps * batch)
