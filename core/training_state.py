"""One run in training: its steps, and everything that the next one depends on. The loop is the record's."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from core.clock import Clock
from core.config import RunConfig
from core.data.augment import Augment
from core.data.expansion import take
from core.errors import RunFailure
from core.evaluation import evaluate
from core.loss.distillation import NEEDS_PROJECTION, distillation_loss
from core.loss.fast_partial_fc import FastPartialFC
from core.loss.partial_fc import PartialFC
from core.materials import Materials
from core.model.embedder import Embedder
from core.precision import autocast, grad_scaler
from core.result import resident_mb
from core.schedule import ClassOrder, learning_rate_factor
from core.seeds import global_stream, torch_stream

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
        self.order_stream = torch_stream(seed, "order")
        self.order = ClassOrder(data.classes, config.optim.batch_size, self.order_stream)
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

    def state(self) -> dict[str, Any]:
        """Everything that the next step, and what is told of the run, depend on; tensors are the run's own."""
        state: dict[str, Any] = {
            "modules": {name: module.state_dict() for name, module in self._modules().items()},
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "order": self.order.state(),
            "streams": {name: stream.get_state() for name, stream in self._streams().items()},
            "loss_mean": self.loss_mean, "clipped_steps": self.clipped_steps,
            "peak_memory_mb": self.peak_memory_mb, "seconds": dict(self.clock.seconds),
        }  # fmt: skip
        if isinstance(self.head, PartialFC):  # the fast head's `state_dict` has it
            state["sampling"] = self.head.sampling_state()
        return state

    def load(self, state: dict[str, Any]) -> None:
        """Go on from the `state` of another trainer of the same configuration, with tensors on any device."""
        for name, module in self._modules().items():
            module.load_state_dict(state["modules"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.order.load(state["order"])
        for name, stream in self._streams().items():
            stream.set_state(state["streams"][name].cpu())
        if isinstance(self.head, PartialFC):
            self.head.load_sampling(state["sampling"].cpu())
        self.loss_mean, self.clipped_steps = state["loss_mean"], state["clipped_steps"]
        self.peak_memory_mb, self.clock.seconds = state["peak_memory_mb"], dict(state["seconds"])

    def _modules(self) -> dict[str, nn.Module]:
        modules: dict[str, nn.Module] = {"embedder": self.embedder, "head": self.head}
        return modules if self.projection is None else {**modules, "projection": self.projection}

    def _streams(self) -> dict[str, torch.Generator]:
        return {"augment": self.augment_stream, "order": self.order_stream}


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
