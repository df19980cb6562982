"""Train one run: `train(config) -> RunResult`. The streams are named, and a stopped run goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from core.checkpoint import Saver, identity
from core.clock import Stopwatch
from core.config import RunConfig
from core.data.rendering import Progress
from core.errors import RunFailure
from core.evaluation import evaluate
from core.inputs import fingerprints, run_key
from core.loop import Course, Log, begin, run_steps, threads_of
from core.loss.distillation import LEAST_SIMILAR
from core.materials import load_materials, prepare
from core.model.embedder import flops_g, parameter_count, size_mb
from core.precision import matmul_precision, probe
from core.ranks import ALONE, Ranks
from core.result import RunResult, code_versions, environment
from core.teacher import teacher_metrics
from core.training_state import Trainer

_SCALE_FOUND = 16  # steps in which the scaler of fp16 comes from the scale that it begins with to 1


def train(
    config: RunConfig, *, progress: Progress | None = None, log: Log | None = None, checkpoint: Path | None = None,
    held: Callable[[], None] | None = None, ranks: Ranks = ALONE,
) -> RunResult:  # fmt: skip
    """Train and judge one run.

    Args:
        progress: called with (what, done, total) while data are made and the loop runs.
        log: called with the learning curve so far at each of its points.
        checkpoint: file to write now and then, and to go on from where it is of this very run (same key, code,
            libraries and hardware). On the CPU the result is then the same to the bit as without a stop. To remove
            the file once the result is stored is the caller's; a run that diverged does it itself.
        held: called before that file is written or removed; it raises where the run is another process's by now.
        ranks: that train it together, of which this is the leading one; all others call `follow`.

    Raises:
        UserError: data or weights that cannot be had.
        RunFailure: `diverged`, `too_few_images`, `bad_weights`, `bad_config`, `no_space`, `store_not_writable`; of
            ranks on hosts that are not alike `other_code` or `data_changed`.
    """
    whole, threads = Stopwatch(), torch.get_num_threads()
    saver = _saver(config, checkpoint, held)
    try:
        trainer, course = _trained(config, whole, saver, progress, log, ranks)
        config, materials = trainer.config, trainer.materials
        test = evaluate(trainer.embedder, materials.test, trainer.device, progress)
        scores, shifted = test.scores(progress), None
        if materials.shifted:
            judged = evaluate(trainer.embedder, materials.shifted, trainer.device, progress)
            shifted = judged.metrics
            scores |= {f"shifted_{name}": values for name, values in judged.scores(progress).items()}
        manipulation = {"precision": probe(config.precision.mode, trainer.device).to_dict()}
        if (teacher := teacher_metrics(config, materials.test, progress)) is not None:
            manipulation["teacher"] = teacher
    except RunFailure as failure:
        if saver and failure.kind == "diverged":
            saver.discard()  # it may be past the point of no return: another attempt starts anew
        raise
    finally:
        torch.set_num_threads(threads)
    return RunResult(
        key=config.key(materials.fingerprints), config=config, metrics=test.metrics,
        validation={name: course.curve[-1][name] for name in test.metrics}, untrained=course.untrained,
        shifted=shifted, cost=_cost(trainer, course, whole.seconds()), curve=course.curve, test=test.counts(),
        manipulation=manipulation, inputs=materials.fingerprints, data=materials.notes,
        environment=environment(config.runtime.device, config.runtime.threads, ranks.count), scores=scores,
    )  # fmt: skip


def follow(config: RunConfig, ranks: Ranks, checkpoint: Path | None = None) -> None:
    """The part of another rank than the leading one in its `train` of the same run; arguments and errors are its."""
    threads = torch.get_num_threads()
    try:
        _trained(config, Stopwatch(), _saver(config, checkpoint), None, None, ranks)
    finally:
        torch.set_num_threads(threads)


def _saver(config: RunConfig, checkpoint: Path | None, held: Callable[[], None] | None = None) -> Saver | None:
    return Saver(checkpoint, identity(run_key(config), config.runtime.device), held=held) if checkpoint else None


def _trained(
    config: RunConfig, whole: Stopwatch, saver: Saver | None, progress: Progress | None, log: Log | None, ranks: Ranks
) -> tuple[Trainer, Course]:
    """Train to the last step, from the last checkpoint if there is one that all ranks can read."""
    _check(config, ranks)
    kept = _kept(saver, ranks)
    config = threads_of(config, kept)
    torch.set_num_threads(config.runtime.threads)
    if not ranks.alone:  # the leader makes what is not in the cache yet
        ranks.lead(lambda: prepare(config, progress))
        _check_hosts(config, ranks)
    materials = load_materials(config, progress)
    with matmul_precision(config.precision.mode):
        trainer = Trainer(config, materials, ranks)
        course = begin(trainer, kept)
        whole.add(course.run_seconds)
        del kept  # a second copy of all weights
        run_steps(trainer, course, whole, saver, progress, log)
    if trainer.vitals.skipped_steps == config.optim.steps > _SCALE_FOUND:
        raise RunFailure("diverged", f"nothing was learnt: gradients in fp16 overflowed in all {course.step} steps")
    return trainer, course


def _kept(saver: Saver | None, ranks: Ranks) -> dict[str, Any] | None:
    """The checkpoint that all ranks have: on a host of its own one may have none, or an older one."""
    kept = saver.read() if saver else None
    return kept if ranks.same(None if kept is None else kept["course"]) else None


def _check_hosts(config: RunConfig, ranks: Ranks) -> None:
    """Each rank trains on what its own host has, under the key that the leader found for its own."""
    told = "hosts that train a run together have other code or packages than one another: install the same on all"
    ranks.require_same(code_versions(), RunFailure("other_code", told))
    told = "hosts that train a run together have other images, fonts or weights under the same names: make them equal"
    ranks.require_same(fingerprints(config), RunFailure("data_changed", told))


def _check(config: RunConfig, ranks: Ranks) -> None:
    """What fields allow one by one and not together, before any data are made for it."""
    batch, loss = config.optim.batch_size, config.loss
    if batch < ranks.count:
        raise RunFailure("bad_config", f"optim.batch_size is {batch}, for {ranks.count} ranks")
    if config.distill.active and config.distill.kind == "similarity" and batch < LEAST_SIMILAR:
        raise RunFailure("bad_config", f"distill.kind similarity compares {LEAST_SIMILAR} images or more, not {batch}")
    if config.num_sampled < 1:
        told = f"loss.sample_rate {loss.sample_rate:g} of {config.data.classes} classes is less than one: raise it"
        raise RunFailure("bad_config", told)


def _cost(trainer: Trainer, course: Course, seconds: float) -> dict[str, Any]:
    config, clock = trainer.config, trainer.clock
    samples = config.optim.steps * config.optim.batch_size
    training = sum(spent for part, spent in clock.seconds.items() if part not in ("validation", "checkpoints"))
    return {
        "seconds": round(seconds, 3),
        "train_seconds": round(training, 3),
        "samples": samples,
        "samples_per_second": round(samples / training, 1),
        "peak_memory_mb": round(trainer.peak_memory_mb, 1),
        "parameters": parameter_count(trainer.embedder),
        "size_mb": round(size_mb(trainer.embedder), 4),
        "flops_g": round(flops_g(trainer.embedder, config.data.image_size), 5),
        "classes": config.data.classes,
        "images": config.data.images,
        "overflow_steps": int(trainer.head.overflow_steps),
        "clipped_share": round(trainer.vitals.clipped_steps / config.optim.steps, 4),
        "skipped_steps": trainer.vitals.skipped_steps,
        "time_share": clock.shares(),
        "resumed": course.resumed,
    }
