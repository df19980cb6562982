"""Train one run: `train(config) -> RunResult`. The loop is the record's, the streams are named."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from core.clock import Clock
from core.config import RunConfig
from core.data.augment import Augment
from core.data.expansion import take
from core.data.rendering import Progress
from core.errors import RunFailure
from core.evaluation import evaluate
from core.loss.distillation import NEEDS_PROJECTION, distillation_loss
from core.loss.fast_partial_fc import FastPartialFC
from core.loss.partial_fc import PartialFC
from core.materials import Materials, load_materials
from core.model.embedder import Embedder, flops_g, parameter_count, size_mb
from core.precision import autocast, grad_scaler, matmul_precision, probe
from core.result import RunResult, environment, resident_mb
from core.schedule import ClassOrder, learning_rate_factor
from core.seeds import global_stream, torch_stream
from core.teacher import teacher_metrics

Log = Callable[[dict[str, float]], None]

_CHECK_EVERY = 25  # steps between looks at the loss where looking makes the device wait
_LOSS_SMOOTHING = 0.05  # of the running mean of the loss that curves show


class Trainer:
    """The state of one run in training."""

    def __init__(self, config: RunConfig, materials: Materials) -> None:
        self.config, self.materials = config, materials
        self.device = torch.device(config.runtime.device)
        data, seed = config.data, config.seed
        self.embedder = Embedder(config.model, data.image_size, seed)
        self.embedder.to(self.device).to(memory_format=torch.channels_last)
        self.head = class_head(config).to(self.device)
        self.projection = self._projection()
        self.pool = materials.pool.to(self.device)
        self.augment = Augment(data.augment)
        self.augment_stream = torch_stream(seed, "augment", self.device)
        self.order = ClassOrder(data.classes, config.optim.batch_size, torch_stream(seed, "order"))
        self.scaler = grad_scaler(config.precision.mode, self.device)
        self.optimizer = self._optimizer()
        self.clock = Clock()
        self.loss_mean = math.nan
        self.clipped_steps = 0
        self.peak_memory_mb = 0.0

    def _projection(self) -> nn.Linear | None:
        """From embeddings to the teacher's width, without bias, as the record has it."""
        distill, teacher = self.config.distill, self.materials.teacher
        if not distill.active or distill.kind not in NEEDS_PROJECTION or teacher is None:
            return None
        with global_stream(self.config.seed, "init.projection"):
            return nn.Linear(self.config.model.embed_dim, teacher.shape[1], bias=False).to(self.device)

    def _optimizer(self) -> torch.optim.AdamW:
        optim = self.config.optim
        groups: list[dict[str, Any]] = [{"params": list(self.embedder.parameters()), "ratio": 1.0}]
        if self.projection is not None:
            groups.append({"params": list(self.projection.parameters()), "ratio": 1.0})
        if isinstance(self.head, PartialFC):  # the fast head updates its own
            groups.append({"params": list(self.head.parameters()), "ratio": optim.centre_lr_ratio})
        return torch.optim.AdamW(
            groups, lr=optim.lr, betas=(optim.beta1, optim.beta2), weight_decay=optim.weight_decay, fused=True
        )

    def step(self, index: int) -> None:
        """One optimiser step; raises `RunFailure` of kind `diverged` when loss or gradient is no longer finite."""
        optim = self.config.optim
        with self.clock.time("data"):
            classes = self.order.next()
            clean = take(self.pool, classes.to(self.device), self.config.data.expansion)
            images = self.augment(clean, self.augment_stream)
            if self.config.distill.clean_view:
                images = torch.cat([images, clean.float().div_(255)])
            images = images.contiguous(memory_format=torch.channels_last)
        with self.clock.time("forward and backward"):
            loss = self._loss(images, classes)
            self.scaler.scale(loss).backward()
        with self.clock.time("optimizer"):
            norm = self._update(learning_rate_factor(index, optim.steps, optim.warmup))
        if self.device.type == "cpu" or index % _CHECK_EVERY == 0 or index == optim.steps - 1:
            self._watch(index, loss.item(), norm.item())

    def _update(self, factor: float) -> torch.Tensor:
        """Clip all gradients by their common norm, take a step at `factor` of the peak learning rate; the norm."""
        optim, parameters = self.config.optim, self._parameters()
        for group in self.optimizer.param_groups:
            group["lr"] = optim.lr * group["ratio"] * factor
        self.scaler.unscale_(self.optimizer)
        if isinstance(self.head, PartialFC):
            norm = nn.utils.clip_grad_norm_(parameters, optim.clip)
        else:
            scale = self.scaler.get_scale()
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            norm = torch.hypot(nn.utils.get_total_norm(gradients), self.head.gradient_norm() / scale)
            nn.utils.clip_grads_with_norm_(parameters, optim.clip, norm)
            if self.scaler.is_enabled() and not norm.isfinite():
                self.head.skip()  # as the scaler skips all else
            else:
                shrink = (optim.clip / (norm + 1e-6)).clamp(max=1)  # as torch clips
                self.head.step(optim.lr * optim.centre_lr_ratio * factor, shrink / scale)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def _loss(self, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        config, batch = self.config, len(classes)
        rows = self.embedder.neck(self.embedder.backbone(images))
        with autocast(config.precision.mode, self.device):
            embeddings = self.embedder.head(rows)
            loss: torch.Tensor = self.head(embeddings[:batch], classes)
            if config.distill.active and self.materials.teacher is not None:
                # The last rows are the clean view where there is one, else the augmented images themselves.
                student = embeddings[-batch:]
                student = student if self.projection is None else self.projection(student)
                teacher = self.materials.teacher[classes].to(self.device)
                distill = config.distill
                loss = loss + distill.weight * distillation_loss(student, teacher, distill.kind, distill.temperature)
        return loss

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _watch(self, index: int, loss: float, norm: float) -> None:
        if not math.isfinite(loss):
            raise RunFailure("diverged", f"the loss is {loss} at step {index + 1} of {self.config.optim.steps}")
        # The scaler of fp16 skips such steps, as it is meant to; without it the weights are lost by now.
        if not math.isfinite(norm) and not self.scaler.is_enabled():
            raise RunFailure(
                "diverged", f"the gradient norm is {norm} at step {index + 1} of {self.config.optim.steps}"
            )
        self.loss_mean = (
            loss if math.isnan(self.loss_mean) else self.loss_mean + _LOSS_SMOOTHING * (loss - self.loss_mean)
        )
        self.clipped_steps += norm > self.config.optim.clip
        self.peak_memory_mb = max(self.peak_memory_mb, self._memory_mb())

    def _memory_mb(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 1e6
        return resident_mb()

    def validate(self, samples: int, seconds: float) -> dict[str, float]:
        """One point of the learning curve, on validation identities."""
        with self.clock.time("validation"):
            metrics = evaluate(self.embedder, self.materials.validation, self.device).metrics
        lr = self.optimizer.param_groups[0]["lr"]
        return {"samples": samples, "seconds": round(seconds, 3), "loss": self.loss_mean, "lr": lr, **metrics}


def class_head(config: RunConfig) -> PartialFC | FastPartialFC:
    """Class centres and their loss: the record's, or the one that updates its own centres."""
    loss, optim, seed = config.loss, config.optim, config.seed
    shape = config.model.embed_dim, config.data.classes, loss.kind, loss.scale, loss.margin, loss.sample_rate
    draws, init = torch_stream(seed, "partial_fc"), torch_stream(seed, "init.centres")
    if loss.centre_update == "dense":
        return PartialFC(*shape, sampler=loss.sampler, generator=draws, init_generator=init)
    return FastPartialFC(
        *shape, sampler=loss.sampler, update=loss.centre_update, betas=(optim.beta1, optim.beta2),
        weight_decay=optim.weight_decay, generator=draws, init_generator=init,
    )  # fmt: skip


def train(config: RunConfig, *, progress: Progress | None = None, log: Log | None = None) -> RunResult:
    """Train and judge one run.

    Args:
        progress: called with (what, done, total) while data are made and the loop runs.
        log: called with each point of the learning curve.

    Raises:
        UserError: data or weights that cannot be had.
        RunFailure: `diverged`, `too_few_images`, `bad_weights`, `bad_config`.
    """
    started = time.perf_counter()
    threads = torch.get_num_threads()
    torch.set_num_threads(config.runtime.threads)
    try:
        materials = load_materials(config, progress)
        with matmul_precision(config.precision.mode):
            trainer = Trainer(config, materials)
            untrained = evaluate(trainer.embedder, materials.validation, trainer.device).metrics
            curve = _loop(trainer, progress, log)
        test = evaluate(trainer.embedder, materials.test, trainer.device, progress)
        scores, shifted = test.scores(progress), None
        if materials.shifted:
            judged = evaluate(trainer.embedder, materials.shifted, trainer.device, progress)
            shifted = judged.metrics
            scores |= {f"shifted_{name}": values for name, values in judged.scores(progress).items()}
        manipulation = {"precision": probe(config.precision.mode, trainer.device).to_dict()}
        if (teacher := teacher_metrics(config, materials.test, progress)) is not None:
            manipulation["teacher"] = teacher
    finally:
        torch.set_num_threads(threads)
    return RunResult(
        key=config.key(materials.fingerprints), config=config, metrics=test.metrics,
        validation={name: curve[-1][name] for name in test.metrics}, untrained=untrained, shifted=shifted,
        cost=_cost(trainer, time.perf_counter() - started), curve=curve, test=test.counts(),
        manipulation=manipulation, inputs=materials.fingerprints, data=materials.notes,
        environment=environment(config.runtime.device, config.runtime.threads), scores=scores,
    )  # fmt: skip


def _loop(trainer: Trainer, progress: Progress | None, log: Log | None) -> list[dict[str, float]]:
    config = trainer.config
    steps, batch = config.optim.steps, config.optim.batch_size
    validate_after = {math.ceil(steps * (i + 1) / config.eval.points) for i in range(config.eval.points)}
    curve: list[dict[str, float]] = []
    trainer.embedder.train()
    started = time.perf_counter()
    for index in range(steps):
        trainer.step(index)
        if index + 1 in validate_after:
            curve.append(trainer.validate((index + 1) * batch, time.perf_counter() - started))
            if log:
                log(curve[-1])
        if progress and (index % 8 == 7 or index + 1 == steps):
            progress("training", (index + 1) * batch, steps * batch)
    return curve


def _cost(trainer: Trainer, seconds: float) -> dict[str, Any]:
    config, clock = trainer.config, trainer.clock
    samples = config.optim.steps * config.optim.batch_size
    training = sum(clock.seconds.values()) - clock.seconds.get("validation", 0.0)
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
        "clipped_share": round(trainer.clipped_steps / config.optim.steps, 4),
        "time_share": clock.shares(),
    }
