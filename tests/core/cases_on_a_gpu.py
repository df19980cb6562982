"""A step of training on a pretended GPU: all of it is there, the host never waits, and the numbers are the CPU's.

`test_on_a_gpu.py` runs these in a process of their own: PyTorch counts its devices at the first backward pass.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from core import teacher
from core.config import RunConfig
from core.data.augment import POLICIES, Augment
from core.data.expansion import FACTORS, take
from core.errors import RunFailure
from core.evaluation import evaluate
from core.loss.fast_partial_fc import FastPartialFC
from core.materials import load_materials
from core.training_state import Trainer
from core.verification import hardest_pairs, histogram
from tests.core.pretended_gpu import Generator, Pretended, PretendedGPU, device, move

SMALL: dict[str, Any] = {
    "data.pool": 48, "data.images": 48, "data.image_size": 32, "optim.batch_size": 16, "optim.samples": 1600,
    "eval.identities": 8, "eval.validation_identities": 6, "eval.captures": 2, "model.embed_dim": 32,
    "model.pretrained": "none", "loss.sample_rate": 0.5,
}  # fmt: skip
PLAIN = {"data__augment": "none"}
ARMS: list[dict[str, Any]] = [
    *({"data__augment": policy} for policy in POLICIES),
    {"data__expansion": 24},
    {"loss__sample_rate": 1.0, "loss__kind": "arcface"},
    {"loss__sampler": "windows"},
    *({"loss__centre_update": update} for update in ("rows", "row_scalar")),
    {"loss__centre_update": "row_scalar", "loss__sampler": "windows", "loss__sample_rate": 0.1},
    {"loss__centre_update": "row_scalar", "loss__sample_rate": 1.0, "loss__scale": 96.0},
    {"loss__centre_update": "rows", "loss__sample_rate": 1.0},
    {"distill__kind": "kld"},
    {"distill__kind": "similarity", "distill__clean_view": True},
    {"precision__mode": "bf16"},
    {"model__norm": "ln_bn", "model__neck": "squeeze"},
]


@pytest.fixture
def gpu() -> Iterator[PretendedGPU]:
    with PretendedGPU() as found:
        yield found


def on_cpu(**changes: Any) -> Trainer:
    """A trainer of few small images; `a__b` names field ``a.b``."""
    named = {name.replace("__", "."): value for name, value in changes.items()}
    config = RunConfig().with_overrides({**SMALL, **named})
    trainer = Trainer(config, load_materials(config))
    trainer.embedder.train()
    return trainer


def here(tensor: torch.Tensor) -> torch.Tensor:
    """A copy on the CPU."""
    return getattr(tensor, "held", tensor.detach().cpu()).clone()


def step(trainer: Trainer, index: int) -> dict[str, torch.Tensor]:
    """Take a step; the gradients before they were clipped, by name, and where centres have none, the centres after."""
    seen: dict[str, torch.Tensor] = {}
    update = trainer._update

    def watched(factor: float) -> torch.Tensor:
        for module, of in trainer._modules().items():
            seen.update({f"{module}.{name}": here(one.grad) for name, one in of.named_parameters()})  # type: ignore[arg-type]
        return update(factor)

    trainer._update = watched  # type: ignore[method-assign]
    trainer.step(index)
    trainer._update = update  # type: ignore[method-assign]
    if isinstance(trainer.head, FastPartialFC):
        seen["head.rows"] = here(trainer.head.rows)
    return seen


def close(ours: Trainer, theirs: Trainer, steps: int, tolerance: float = 1e-3) -> None:
    """Take steps, each from the weights of `theirs`: gradients are equal, but for rounding.

    Weights after some steps would not do: the first ones of AdamW are of the learning rate however small the gradient,
    and so is then the difference.
    """
    for index in range(1, steps + 1):
        found, expected = step(ours, index), step(theirs, index)
        assert found.keys() == expected.keys()
        whole = max(one.norm() for one in expected.values())
        for name, one in expected.items():
            apart = (found[name] - one).norm()
            # A bias before BatchNorm has a gradient of rounding alone.
            assert apart <= tolerance * one.norm() + 1e-6 * whole, f"{name}: {apart / one.norm():.1e} apart"
        ours.load(copy.deepcopy(theirs.state()))


def on_gpu(trainer: Trainer) -> Trainer:
    """The same trainer, as it is made on a GPU."""
    for module in trainer._modules().values():
        move(module)
    batches = trainer.batches
    trainer.device, batches.pool, batches.noise_stream = device(), Pretended(batches.pool), Generator().manual_seed(1)
    trainer.optimizer = trainer._optimizer()
    return trainer


@pytest.mark.parametrize("changes", ARMS)
def test_the_host_never_waits(changes: dict[str, Any], gpu: PretendedGPU) -> None:
    trainer = on_gpu(on_cpu(**changes))
    gpu.waits.clear()
    trainer.step(1)
    trainer.step(2)
    assert gpu.waits == []


def test_it_looks_at_the_loss_now_and_then(gpu: PretendedGPU) -> None:
    trainer = on_gpu(on_cpu())
    gpu.waits.clear()
    for index in range(26):
        trainer.step(index)
    # The loss and the norm of the gradients, at steps 0 and 25.
    assert [wait.split(":")[0] for wait in gpu.waits] == ["aten._local_scalar_dense at training_state.py"] * 4


def test_every_step_counts_though_few_are_looked_at(gpu: PretendedGPU) -> None:
    changes = {**PLAIN, "optim__clip": 0.01}
    ours, theirs = on_gpu(on_cpu(**changes)), on_cpu(**changes)
    for index in range(1, 5):
        ours.step(index)
        theirs.step(index)
    assert ours.vitals.clipped_steps == theirs.vitals.clipped_steps == 4
    assert ours.vitals.loss_mean == pytest.approx(theirs.vitals.loss_mean, rel=1e-2)


def test_weights_lost_between_looks_are_a_divergence_and_are_not_kept(gpu: PretendedGPU) -> None:
    trainer = on_gpu(on_cpu(**PLAIN))
    trainer.step(1)
    with torch.no_grad():
        next(trainer.embedder.parameters()).mul_(torch.nan)
    trainer.step(2)
    with pytest.raises(RunFailure, match="at step 3") as told:
        trainer.validate(48, 1.0)
    assert told.value.kind == "diverged"


def test_waiting_for_the_device_is_time_of_training(gpu: PretendedGPU) -> None:
    class Slow:
        def item(self) -> float:
            time.sleep(0.1)
            return 1.0

    trainer = on_gpu(on_cpu(**PLAIN))
    trainer._latest = 1, Slow(), Slow()  # type: ignore[assignment]
    trainer.validate(16, 1.0)
    assert trainer.clock.seconds["optimizer"] >= 0.2


def test_the_numbers_are_the_cpus(gpu: PretendedGPU) -> None:
    plain = {"data__augment": "none", "distill__kind": "kld", "data__expansion": 8}
    close(on_gpu(on_cpu(**plain)), on_cpu(**plain), 3)


@pytest.mark.parametrize("policy", POLICIES)
def test_images_come_out_as_on_the_cpu(policy: str, gpu: PretendedGPU) -> None:
    images = torch.randint(0, 256, (24, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
    augment = Augment(policy)

    def seen(given: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        return augment(given, torch.Generator().manual_seed(1), noise=noise.manual_seed(2))

    there = seen(Pretended(images), Generator())
    assert isinstance(there, Pretended)
    torch.testing.assert_close(there.held, seen(images, torch.Generator()), rtol=0, atol=1e-5)


@pytest.mark.parametrize("factor", FACTORS)
def test_classes_may_be_on_either(factor: int, gpu: PretendedGPU) -> None:
    images = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8)
    classes = torch.randint(0, 6 * factor, (20,))
    expected = take(images, classes, factor)
    for given in (classes, Pretended(classes)):
        found = take(Pretended(images), given, factor)
        assert isinstance(found, Pretended)
        assert torch.equal(found.held, expected)


def test_each_side_has_its_generator(gpu: PretendedGPU) -> None:
    images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    cpu, there = torch.Generator(), Generator()
    for given, generator, noise in ((images, there, None), (Pretended(images), cpu, None), (images, cpu, there)):
        with pytest.raises(ValueError, match="generator"):
            Augment("documented")(given, generator, noise=noise)


def test_a_trainer_goes_on_from_the_other_devices_state(gpu: PretendedGPU) -> None:
    first, ours, theirs = on_cpu(**PLAIN), on_gpu(on_cpu(**PLAIN)), on_cpu(**PLAIN)
    first.step(1)
    ours.load(copy.deepcopy(first.state()))
    theirs.load(copy.deepcopy(first.state()))
    close(ours, theirs, 2)


def test_a_teacher_encodes_there_what_it_does_on_the_cpu(gpu: PretendedGPU, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch at a time is sent there, all of the model with it, and rows come back."""
    images = torch.randint(0, 256, (300, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    expected = teacher._encoded(teacher.load_encoder("procedural"), lambda ids: images[ids], 300, torch.device("cpu"))

    usual = nn.Module.to

    def moved(model: nn.Module, *to: Any, **named: Any) -> nn.Module:
        if to != (device(),):
            return usual(model, *to, **named)
        move(model)
        return model

    monkeypatch.setattr(nn.Module, "to", moved)
    sent: list[int] = []
    encode = teacher.load_encoder("procedural", device())

    def there(batch: torch.Tensor) -> torch.Tensor:
        assert isinstance(batch, Pretended)
        sent.append(len(batch))
        return encode(batch)

    found = teacher._encoded(there, lambda ids: images[ids], 300, device())
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert sent == [256, 44]
    assert len(gpu.waits) == 2  # for the rows


def test_judging_gives_the_cpus_rates(gpu: PretendedGPU) -> None:
    ours, theirs = on_gpu(on_cpu()), on_cpu()
    judged = [evaluate(one.embedder, one.materials.validation, one.device).metrics for one in (ours, theirs)]
    assert judged[0] == pytest.approx(judged[1], abs=1e-4)


@pytest.mark.parametrize("count", [60, 1300])
def test_pairs_are_counted_as_on_the_cpu(count: int, gpu: PretendedGPU) -> None:
    rng = np.random.default_rng(count)
    identities = rng.integers(0, count // 5, count)
    embeddings = rng.normal(size=(count, 16)) + 2 * rng.normal(size=(count // 5, 16))[identities]
    ours, theirs = (histogram(embeddings, identities, device=where) for where in (device(), torch.device("cpu")))
    assert (ours.positives == theirs.positives).all()
    assert (ours.negatives == theirs.negatives).all()
    listed = [hardest_pairs(embeddings, identities, 500, device=where) for where in (device(), torch.device("cpu"))]
    for got, expected in zip(*listed, strict=True):
        assert (got == expected).all()


def test_what_is_pretended_can_fail(gpu: PretendedGPU) -> None:
    values = torch.arange(6.0)
    there = Pretended(values)
    with pytest.raises(RuntimeError, match="same device"):
        there + values
    assert torch.equal((there + 1).held, values + 1)
    assert gpu.waits == []
    there.sum().item()
    there.to("cpu")
    values.to(there.device)
    values.to(there.device, non_blocking=True)  # is not waited for
    there[torch.tensor([1, 2])]
    there[there > 2]
    there.long().tolist()
    values.copy_(there)
    torch.linalg.solve(Pretended(torch.eye(2)), Pretended(torch.ones(2, 1)))
    names = [wait.split(" ")[0].removeprefix("aten.") for wait in gpu.waits]
    assert names == [
        "_local_scalar_dense", "_to_copy", "_to_copy", "index", "index", *["_local_scalar_dense"] * 6, "copy_",
        "_linalg_check_errors",
    ]  # fmt: skip
