"""The training step against one written out with torch's own optimiser; and no field of a run is without effect."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from core.config import RunConfig
from core.evaluation import evaluate
from core.loss.distillation import distillation_loss
from core.loss.fast_partial_fc import FastPartialFC
from core.materials import load_materials
from core.training_state import Trainer
from tests.core.test_config import OTHER, RUNTIME
from tests.core.test_trainer import tiny

DISTILLED = {"distill__kind": "kld", "distill__weight": 50, "distill__temperature": 0.2, "distill__teacher": "random"}
ALL_ROWS = {"loss__sample_rate": 1, "loss__centre_update": "rows"}  # all are used: as AdamW on all


def doubled(config: RunConfig) -> Trainer:
    """In double precision, where rounding cannot hide a difference."""
    trainer = Trainer(config, load_materials(config))
    for module in trainer._modules().values():
        module.double().train()
    augment = trainer.batches.augment
    trainer.batches.augment = lambda *given: augment(*given).double()
    return trainer


@pytest.mark.parametrize("changes", [{}, DISTILLED, ALL_ROWS, {**ALL_ROWS, "loss__sampler": "windows"}])
@pytest.mark.parametrize("clip", [1e4, 0.05])
def test_a_step_is_adamw_by_clipped_gradients_at_the_rate_of_the_schedule(clip: float, changes: dict[str, Any]) -> None:
    config = tiny(
        optim__clip=clip, optim__beta1=0.8, optim__beta2=0.95, optim__weight_decay=0.1, optim__centre_lr_ratio=3,
        optim__warmup=0.5, precision__mode="highest", **changes,
    )  # fmt: skip
    ours, plain = doubled(config), doubled(config.with_overrides({"loss.centre_update": "dense"}))
    seen: list[tuple[float, float]] = []
    ours._refuse_unsound = lambda index, loss, norm: seen.append((loss, norm))  # type: ignore[method-assign]
    centres = list(plain.head.parameters())
    others = [one for name, module in plain._modules().items() if name != "head" for one in module.parameters()]
    optimizer = torch.optim.AdamW([{"params": others}, {"params": centres}], betas=(0.8, 0.95), weight_decay=0.1)
    for index, factor in enumerate((0.5, 1, 1, 0.5)):  # two steps of warm-up, two of decay
        batch = plain.batches.next()
        embeddings = plain.embedder(batch.images)
        loss = plain.head(embeddings, batch.classes)
        if plain.projection is not None:
            teacher = plain.materials.teacher[batch.classes]  # type: ignore[index]
            loss = loss + 50 * distillation_loss(plain.projection(embeddings), teacher, "kld", 0.2)
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_([*others, *centres], clip)
        assert (norm > clip) == (clip < 1)
        for group, ratio in zip(optimizer.param_groups, (1, 3), strict=True):
            group["lr"] = 1e-3 * ratio * factor
        optimizer.step()
        ours.step(index)
        assert seen[-1] == pytest.approx((loss.item(), norm.item()), rel=1e-9)
    head = ours.head.centres() if isinstance(ours.head, FastPartialFC) else ours.head.weight
    torch.testing.assert_close(head, centres[0], rtol=1e-9, atol=1e-12)
    updated = [one for name, module in ours._modules().items() if name != "head" for one in module.parameters()]
    torch.testing.assert_close(updated, others, rtol=1e-9, atol=1e-12)


# Other values than a tiny run has, where those of `OTHER` are its own or do not fit it.
OF_A_TINY_RUN: dict[str, Any] = {
    "data.pool": 13, "data.images": 6, "data.image_size": 64, "model.embed_dim": 24,
    "model.neck": "squeeze",  # at 32 pixels the map is a single position, of which nothing is to be pooled
    "precision.mode": "bf16",  # any hardware has it
    "distill.kind": "cosine", "distill.weight": 2, "optim.batch_size": 4, "optim.samples": 32,
    "optim.weight_decay": 0.5, "optim.clip": 1e4,
}  # fmt: skip


def losses(config: RunConfig) -> list[float]:
    trainer, seen = Trainer(config, load_materials(config)), []
    trainer.embedder.train()
    trainer._refuse_unsound = lambda index, loss, norm: seen.append(loss)  # type: ignore[method-assign]
    for index in range(config.optim.steps):
        trainer.step(index)
    return seen


def metrics(config: RunConfig) -> list[dict[str, float]]:
    """Of a fresh embedder on all that it is judged on."""
    materials = load_materials(config)
    embedder = Trainer(config, materials).embedder
    parts = [materials.validation, materials.test, *([materials.shifted] if materials.shifted else [])]
    return [evaluate(embedder, part, torch.device("cpu")).metrics for part in parts]


def told(section: str, **changes: Any) -> Any:
    """What shows that a field of the section has an effect."""
    if section == "eval":
        return metrics(tiny(**changes))
    # Of three steps: the last one's loss tells of the moments and the schedule of those before.
    return losses(tiny(**{"optim__samples": 24, **(DISTILLED if section == "distill" else {}), **changes}))


@pytest.fixture(scope="module")
def before() -> dict[str, Any]:
    return {section: told(section) for section in ("eval", "distill", "other")}


def test_where_no_field_changes_nothing_does(before: dict[str, Any]) -> None:
    assert {section: told(section) for section in before} == before


@pytest.mark.parametrize("field", sorted(set(OTHER) - RUNTIME - {"eval.points"}))  # points: see the learning curve
def test_a_field_of_the_key_changes_what_is_trained_or_judged(field: str, before: dict[str, Any]) -> None:
    section = field.split(".")[0] if field.startswith(("eval.", "distill.")) else "other"
    assert told(section, **{field: OF_A_TINY_RUN.get(field, OTHER[field])}) != before[section]
