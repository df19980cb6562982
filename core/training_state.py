"""One run in training: its steps, and everything that the next one depends on. The loop is the record's."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from core.batches import Batches
from core.clock import Clock
from core.config import RunConfig
from core.device import send
from core.errors import RunFailure
from core.evaluation import evaluate
from core.loss.distillation import NEEDS_PROJECTION, distillation_loss
from core.loss.fast_partial_fc import FastPartialFC
from core.loss.head import class_head
from core.loss.partial_fc import PartialFC
from core.loss.sharded_partial_fc import ShardedPartialFC
from core.materials import Materials
from core.model.captured import Captured
from core.model.embedder import Embedder
from core.model.parallel import forward_of
from core.precision import autocast, grad_scaler
from core.ranks import ALONE, Ranks
from core.result import resident_mb
from core.schedule import learning_rate_factor
from core.seeds import global_stream
from core.sharded_state import own_moments, own_rows, whole_moments, whole_rows
from core.vitals import Vitals

SHARDED = ("weight", "rows", "optimizer.used", "optimizer.first", "optimizer.second")  # of a head's state, by class
_CHECK_EVERY = 25  # steps between looks at the loss where looking makes the device wait


class Trainer:
    """The state of one run in training, or of this rank's part of it."""

    def __init__(self, config: RunConfig, materials: Materials, ranks: Ranks = ALONE) -> None:
        self.config, self.materials, self.ranks = config, materials, ranks
        self.part = ranks.part(config.optim.batch_size)
        self.device = torch.device(config.runtime.device)
        if self.device.type == "cuda":  # a peak is a run's own, not that of those before it in this process
            torch.cuda.reset_peak_memory_stats(self.device)
        self.embedder = Embedder(config.model, config.data.image_size, config.seed)
        self.embedder.to(self.device).to(memory_format=torch.channels_last)
        self.head = class_head(config, ranks).to(self.device)
        self.projection = self._projection()
        self.forward = forward_of(self.embedder, self.projection, config.precision.mode, ranks)
        if self.device.type == "cuda" and ranks.alone:
            self.forward = Captured(self.forward)
        self.batches = Batches(config, materials.pool, self.part)
        self.scaler = grad_scaler(config.precision.mode, self.device, shared=not ranks.alone)
        self.optimizer = self._optimizer()
        self.clock = Clock()
        self.vitals = Vitals(config.optim.clip)
        self._latest: tuple[int, torch.Tensor, torch.Tensor] | None = None
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
        # The fused kernel does not take what the scaler that ranks share says of gradients that are not finite.
        fused = self.ranks.alone or not self.scaler.is_enabled()
        return torch.optim.AdamW(
            groups, lr=optim.lr, betas=(optim.beta1, optim.beta2), weight_decay=optim.weight_decay, fused=fused
        )

    def step(self, index: int) -> None:
        """One optimiser step; raises `RunFailure` of kind `diverged` when loss or gradient is no longer finite."""
        optim = self.config.optim
        with self.clock.time("data"):
            batch = self.batches.next()
        with self.clock.time("forward and backward"):
            loss, share = self._loss(batch.images, batch.classes)
            self.scaler.scale(share).backward()
        with self.clock.time("optimizer"):
            norm = self._update(learning_rate_factor(index, optim.steps, optim.warmup))
            self._latest = index, loss.detach(), norm
            self.vitals.follow(*self._latest[1:])
        if self.device.type == "cpu" or index % _CHECK_EVERY == 0 or index == optim.steps - 1:
            self.look()

    def look(self) -> None:
        """Wait for the last step, and see whether it was sound; errors as `step`.

        To be called before the run is judged or kept, too: what comes of weights that are lost is no result, and the
        time until the device is done is training's.
        """
        if self._latest is not None:
            (index, loss, norm), self._latest = self._latest, None
            with self.clock.time("optimizer"):
                seen = loss.item(), norm.item()
            self._refuse_unsound(index, *seen)
            self.peak_memory_mb = max(self.peak_memory_mb, self._memory_mb())

    def _update(self, factor: float) -> torch.Tensor:
        """Clip all gradients by their common norm, take a step at `factor` of the peak learning rate; the norm."""
        optim, parameters = self.config.optim, self._parameters()
        for group in self.optimizer.param_groups:
            group["lr"] = optim.lr * group["ratio"] * factor
        self.scaler.unscale_(self.optimizer)
        norm = self._gradient_norm()
        nn.utils.clip_grads_with_norm_(parameters, optim.clip, norm)
        if isinstance(self.head, FastPartialFC):
            scale = self.scaler.get_scale()
            if self.scaler.is_enabled() and not norm.isfinite():
                self.head.skip()  # as the scaler skips all else
            else:
                shrink = (optim.clip / (norm + 1e-6)).clamp(max=1)  # as torch clips
                self.head.step(optim.lr * optim.centre_lr_ratio * factor, shrink / scale)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def _gradient_norm(self) -> torch.Tensor:
        """The common norm of all gradients, class centres' and other ranks' among them."""
        parameters = self._parameters()
        if isinstance(self.head, ShardedPartialFC):
            parameters, own = parameters[:-1], parameters[-1]
            centres = self.ranks.sum_(nn.utils.get_total_norm([_gradient(own)]).square()).sqrt()
        elif isinstance(self.head, FastPartialFC):
            centres = self.head.gradient_norm() / self.scaler.get_scale()
        norm = nn.utils.get_total_norm([one.grad for one in parameters if one.grad is not None])
        return norm if type(self.head) is PartialFC else torch.hypot(norm, centres)

    def _loss(self, images: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of the whole batch, for eyes only, and this rank's share of it, of which gradients are summed.

        Args:
            images: this rank's augmented images, and after them their clean views where those are wanted.
            classes: of the whole batch.
        """
        config, here = self.config, len(self.part)
        # The last rows are the clean view where there is one, else the augmented images themselves.
        embeddings, students = self.forward(images, here)
        with autocast(config.precision.mode, self.device):
            loss: torch.Tensor = self.head(embeddings[:here], classes)
            if not config.distill.active or self.materials.teacher is None:
                return loss, loss
            told, share = self._distillation(students, classes)
            return loss.detach() + told, loss + share

    def _distillation(self, students: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As `_loss`, of what the teacher adds."""
        distill, teacher = self.config.distill, self.materials.teacher
        assert teacher is not None
        of_batch = distill.kind == "similarity"  # compares every image with all others
        if of_batch:
            students = self.ranks.gather_same(students, len(classes))
        rows = send(teacher[classes if of_batch else classes[self.part.rows]], self.device)
        share = distill.weight * distillation_loss(students, rows, distill.kind, distill.temperature)
        if self.ranks.alone or of_batch:
            return share.detach(), share
        share = share * (len(self.part) / self.part.of)
        return self.ranks.sum_(share.detach().clone()), share

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _refuse_unsound(self, index: int, loss: float, norm: float) -> None:
        if not math.isfinite(loss):
            raise RunFailure("diverged", f"the loss is {loss} at step {index + 1} of {self.config.optim.steps}")
        # The scaler of fp16 skips such steps, as it is meant to; without it the weights are lost by now.
        if not math.isfinite(norm) and not self.scaler.is_enabled():
            raise RunFailure(
                "diverged", f"the gradient norm is {norm} at step {index + 1} of {self.config.optim.steps}"
            )

    def _memory_mb(self) -> float:
        """On a GPU what tensors of this run held at most; on the CPU what the process has, runs before it included."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 1e6
        return resident_mb()

    def validate(self, samples: int, seconds: float) -> dict[str, float]:
        """One point of the learning curve, on validation identities; errors as `step`."""
        self.look()
        with self.clock.time("validation"):
            metrics = self.judge()
        lr = self.optimizer.param_groups[0]["lr"]
        return {"samples": samples, "seconds": round(seconds, 3), "loss": self.vitals.loss_mean, "lr": lr, **metrics}

    def judge(self) -> dict[str, float]:
        """Metrics on validation identities, which the leading rank finds."""
        return self.ranks.lead(lambda: evaluate(self.embedder, self.materials.validation, self.device).metrics)

    def state(self) -> dict[str, Any]:
        """Everything that the next step, and what is told of the run, depend on; tensors are the run's own.

        Of several ranks the leader has the whole of it, and all must ask for it.
        """
        classes, ranks = self.config.data.classes, self.ranks
        modules = {name: module.state_dict() for name, module in self._modules().items()}
        modules["head"] = whole_rows(modules["head"], SHARDED, classes, ranks)
        optimizer = self.optimizer.state_dict()
        if isinstance(self.head, PartialFC):
            optimizer = whole_moments(optimizer, len(self._parameters()) - 1, classes, ranks)
        state: dict[str, Any] = {
            "modules": modules,
            "optimizer": optimizer,
            "scaler": self.scaler.state_dict(),
            **self.batches.state(),
            "vitals": self.vitals.state(),
            "peak_memory_mb": self.peak_memory_mb, "seconds": dict(self.clock.seconds),
        }  # fmt: skip
        if isinstance(self.head, PartialFC):  # the fast head's `state_dict` has it
            state["sampling"] = self.head.sampling_state()
        return state

    def load(self, state: dict[str, Any]) -> None:
        """Go on from the `state` of a trainer of the same configuration, whatever its device and number of ranks."""
        part = self.ranks.part(self.config.data.classes)
        modules = {**state["modules"], "head": own_rows(state["modules"]["head"], SHARDED, part)}
        for name, module in self._modules().items():
            module.load_state_dict(modules[name])
        optimizer = state["optimizer"]
        if isinstance(self.head, PartialFC):
            optimizer = own_moments(optimizer, len(self._parameters()) - 1, part)
        # How it steps is for who steps: alone or with others, `fp16` takes another kernel.
        groups = zip(optimizer["param_groups"], self.optimizer.param_groups, strict=True)
        optimizer = {**optimizer, "param_groups": [{**group, "fused": ours["fused"]} for group, ours in groups]}
        self.optimizer.load_state_dict(optimizer)
        self.scaler.load_state_dict(state["scaler"])
        self.batches.load(state)
        if isinstance(self.head, PartialFC):
            self.head.load_sampling(state["sampling"].cpu())
        self.vitals.load(**state["vitals"])
        self.peak_memory_mb, self.clock.seconds = state["peak_memory_mb"], dict(state["seconds"])

    def _modules(self) -> dict[str, nn.Module]:
        modules: dict[str, nn.Module] = {"embedder": self.embedder, "head": self.head}
        return modules if self.projection is None else {**modules, "projection": self.projection}


def _gradient(parameter: nn.Parameter) -> torch.Tensor:
    assert parameter.grad is not None
    return parameter.grad
