"""The fast head against autograd through the definition, torch's AdamW and the documented head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from core.loss import class_sampling
from core.loss.chunked_softmax import ChunkedSoftmax
from core.loss.class_sampling import SAMPLERS, Sample
from core.loss.fast_partial_fc import FastPartialFC
from core.loss.margin import KINDS, margin_softmax_loss
from core.loss.partial_fc import PartialFC
from core.loss.row_optimizer import UPDATES
from core.loss.table_rows import numbers

DIM, CLASSES = 8, 90


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(
    rate: float = 0.4, kind: str = "cosface", sampler: str = "windows", update: str = "rows", scale: float = 16.0,
    keep_bytes: int = 10**8, weight_decay: float = 0.0, margin: float = 0.3,
) -> FastPartialFC:  # fmt: skip
    return FastPartialFC(
        DIM, CLASSES, kind, scale, margin, rate, sampler=sampler, update=update, generator=stream(0),
        init_generator=stream(100), keep_bytes=keep_bytes, weight_decay=weight_decay,
    )  # fmt: skip


def batch(size: int = 12, seed: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = stream(seed)
    labels = torch.randint(CLASSES, (size,), generator=generator)
    labels[size // 2] = labels[0]  # one class twice
    return torch.randn(size, DIM, generator=generator, dtype=torch.float64).requires_grad_(), labels


def by_definition(
    head: FastPartialFC, embeddings: torch.Tensor, labels: torch.Tensor, sample: Sample
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Loss, gradient by the embeddings and by all centres (by class), through autograd."""
    centres = head.centres().requires_grad_()
    used = head.class_ids(sample)
    target = (used[None] == labels[:, None]).int().argmax(1)
    rows = embeddings.detach().clone().requires_grad_()
    cosine = F.linear(F.normalize(rows), F.normalize(centres[used]))
    loss = margin_softmax_loss(cosine, target, head.kind, head.scale, head.margin)
    gradients = torch.autograd.grad(loss, [rows, centres])
    return loss.detach(), *gradients


def centre_gradient(head: FastPartialFC, lr: float = 1.0) -> torch.Tensor:
    """The gradient that `step` moves by, by class: a plain gradient step in place of the optimiser's."""
    found = torch.zeros_like(head.rows)
    softmax, _ = head._waiting()
    for block, gradient in softmax.gradients():
        rows = numbers(block.rows)
        values = head.rows[rows]
        dense = gradient.dense(values)
        if block.hidden is not None:
            assert (dense[block.hidden] == 0).all()
        found[rows] += dense
    order = head._sampler.row_of
    return found if order is None else found[order]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("sampler", "in_place"), [("uniform", 256), ("windows", 256), ("windows", 1)])
@pytest.mark.parametrize("rate", [0.4, 1.0])
@pytest.mark.parametrize("keep_bytes", [0, 10**8])
@pytest.mark.parametrize("scale", [16.0, 400.0])  # under and over what exponentials reach without a maximum
def test_loss_and_gradients_are_those_of_the_definition(
    monkeypatch: pytest.MonkeyPatch, kind: str, sampler: str, in_place: int, rate: float, keep_bytes: int, scale: float
) -> None:
    monkeypatch.setattr(class_sampling, "_BLOCK", 7)  # many blocks, the last one smaller
    monkeypatch.setattr(class_sampling, "_TOGETHER", 20)  # of two or three runs
    monkeypatch.setattr(class_sampling, "_IN_PLACE", in_place)
    monkeypatch.setattr(class_sampling, "_WINDOWS", 6)
    head = make(rate, kind, sampler, keep_bytes=keep_bytes, scale=scale).double()
    for size in (1, 12, 30):
        embeddings, labels = batch(size)
        sample = head.draw(labels)
        loss = head.loss_over(embeddings, sample)
        expected, by_rows, by_centres = by_definition(head, embeddings, labels, sample)
        embeddings.grad = None
        loss.backward()
        assert embeddings.grad is not None
        torch.testing.assert_close(loss.detach(), expected)
        torch.testing.assert_close(embeddings.grad, by_rows, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(head.gradient_norm(), by_centres.norm(), rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(centre_gradient(head), by_centres, rtol=1e-6, atol=1e-9)
        head.skip()


def test_a_class_of_the_batch_among_the_negatives_is_no_peak() -> None:
    """Without its margin it may lie so far above all that count that these would fade."""
    head = make(1.0, scale=256.0, margin=0.4)
    labels = torch.arange(0, CLASSES, 3)
    embeddings = head.centres()[labels].requires_grad_()  # on their own centres
    sample = head.draw(labels)
    loss = head.loss_over(embeddings, sample)
    loss.backward()
    double = make(1.0, scale=256.0, margin=0.4).double()
    expected, by_rows, _ = by_definition(double, embeddings.detach().double(), labels, sample)
    assert embeddings.grad is not None
    torch.testing.assert_close(loss.detach().double(), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(embeddings.grad.double(), by_rows, rtol=1e-3, atol=1e-3 * float(by_rows.norm()))


def test_exponentials_that_are_computed_again_are_of_the_precision_they_were_of() -> None:
    """Gradients of centres are asked for after the forward pass, where autocast is not on any more."""
    found = []
    for keep_bytes in (0, 10**8):
        head = make(1.0, scale=64.0, keep_bytes=keep_bytes)
        rows, labels = batch(30)
        with torch.autocast("cpu", torch.bfloat16):
            loss = head(rows.detach().float().requires_grad_(), labels)
        loss.backward()
        found.append(centre_gradient(head))
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_in_single_precision_too_at_the_documented_scale(kind: str) -> None:
    head = make(1.0, kind, scale=64.0, margin=0.4)
    rows, labels = batch(30)
    embeddings = rows.detach().float().requires_grad_()
    sample = head.draw(labels)
    loss = head.loss_over(embeddings, sample)
    loss.backward()
    double = make(1.0, kind, scale=64.0, margin=0.4).double()
    expected, by_rows, by_centres = by_definition(double, rows, labels, sample)
    assert embeddings.grad is not None
    torch.testing.assert_close(loss.detach().double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(embeddings.grad.double(), by_rows, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(centre_gradient(head).double(), by_centres, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("scale", [64.0, 200.0])
def test_extreme_cosines_stay_finite_and_right_in_single_precision(scale: float) -> None:
    head = make(1.0, "cosface", scale=scale)
    for sign in (1.0, -1.0):
        embeddings = (sign * head.centres()[:6]).clone().requires_grad_()
        labels = torch.arange(6)
        loss = head(embeddings, labels)
        loss.backward()
        cosine = F.linear(F.normalize(embeddings.detach().double()), F.normalize(head.centres().double()))
        expected = margin_softmax_loss(cosine, labels, "cosface", scale, 0.3)
        torch.testing.assert_close(loss.detach().double(), expected, rtol=1e-5, atol=1e-5)
        assert embeddings.grad is not None
        assert embeddings.grad.isfinite().all()
        assert head.gradient_norm().isfinite()
        head.skip()


def reference(head: FastPartialFC, kind: str, lr: float, decay: float, steps: list[tuple[torch.Tensor, Sample]],
              gradients: list[torch.Tensor]) -> torch.Tensor:  # fmt: skip
    """The centres after all steps, row by row and number by number."""
    centres = head.centres()
    first, second = torch.zeros_like(centres), torch.zeros_like(centres)
    used = torch.zeros(CLASSES, dtype=torch.float64)
    for (_, sample), gradient in zip(steps, gradients, strict=True):
        for row in head.class_ids(sample).tolist():
            g = gradient[row]
            used[row] += 1
            if kind == "row_scalar":
                second[row] = 0.999 * second[row] + 0.001 * g.square().mean()
                move = g
            else:
                first[row] = 0.9 * first[row] + 0.1 * g
                second[row] = 0.999 * second[row] + 0.001 * g.square()
                move = first[row] / (1 - 0.9 ** used[row])
            size = (second[row] / (1 - 0.999 ** used[row])).sqrt() + 1e-8
            centres[row] = centres[row] * (1 - lr * decay) - lr * move / size
    return centres


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize(("sampler", "in_place"), [("uniform", 256), ("windows", 256), ("windows", 1)])
@pytest.mark.parametrize("keep_bytes", [0, 10**8])
@pytest.mark.parametrize("clip", [False, True])
def test_used_rows_take_one_optimiser_step_and_others_none(
    monkeypatch: pytest.MonkeyPatch, update: str, sampler: str, in_place: int, keep_bytes: int, clip: bool
) -> None:
    monkeypatch.setattr(class_sampling, "_TOGETHER", 20)
    monkeypatch.setattr(class_sampling, "_IN_PLACE", in_place)
    monkeypatch.setattr(class_sampling, "_WINDOWS", 6)
    head = make(0.4, sampler=sampler, update=update, keep_bytes=keep_bytes, weight_decay=0.1).double()
    start = make(0.4, sampler=sampler, update=update).double()
    steps, gradients = [], []
    for seed in range(4):
        embeddings, labels = batch(12, seed)
        sample = head.draw(labels)
        (3 * head.loss_over(embeddings, sample)).backward()
        *_, gradient = by_definition(head, embeddings, labels, sample)
        coefficient = 0.5
        if clip:
            norm = head.gradient_norm()
            torch.testing.assert_close(norm, 3 * gradient.norm())
            coefficient = 0.7 / float(norm)
        head.step(0.01, coefficient)
        steps.append((labels, sample))
        gradients.append(gradient * 3 * coefficient)
    torch.testing.assert_close(head.centres(), reference(start, update, 0.01, 0.1, steps, gradients))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_where_all_rows_are_used_it_is_the_documented_head_with_adamw(sampler: str) -> None:
    head = make(1.0, sampler=sampler, update="rows", weight_decay=0.05).double()
    documented = PartialFC(DIM, CLASSES, "cosface", 16.0, 0.3, 1.0, init_generator=stream(100)).double()
    torch.testing.assert_close(head.centres(), documented.weight.detach())
    optimizer = torch.optim.AdamW(documented.parameters(), lr=0.01, weight_decay=0.05)
    for seed in range(5):
        embeddings, labels = batch(12, seed)
        loss = head(embeddings, labels)
        loss.backward()
        head.step(0.01)
        expected = documented(embeddings.detach(), labels)
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(head.centres(), documented.weight.detach())


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("rate", [0.4, 1.0])
def test_first_centres_are_the_documented_ones_of_each_class(sampler: str, rate: float) -> None:
    documented = PartialFC(DIM, CLASSES, "cosface", 16.0, 0.3, rate, init_generator=stream(100))
    assert torch.equal(make(rate, sampler=sampler).centres(), documented.weight.detach())


def test_drawing_centres_in_parts_changes_nothing() -> None:
    classes = 2 * 4096 + 5
    heads = [FastPartialFC(16, classes, "cosface", 64, 0.4, 0.1, sampler=sampler) for sampler in SAMPLERS]
    assert torch.equal(heads[0].centres(), heads[1].centres())


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_seed_gives_the_same_bytes_and_labels_are_left_alone(sampler: str) -> None:
    def trained(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)  # the global stream is not drawn from
        head = make(sampler=sampler)
        for step in range(3):
            rows, labels = batch(12, step)
            before = labels.clone()
            head(rows.detach().float().requires_grad_(), labels).backward()
            head.step(0.01)
            assert torch.equal(labels, before)
        return head.rows

    state = torch.get_rng_state()
    first = trained(0)
    torch.set_rng_state(state)
    assert torch.equal(first, trained(1))


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_saved_head_goes_on_to_the_bit(tmp_path: Path, sampler: str, update: str) -> None:
    def go(head: FastPartialFC, steps: range) -> None:
        for step in steps:
            rows, labels = batch(12, step)
            head(rows.detach().float().requires_grad_(), labels).backward()
            head.step(0.01)

    whole = make(sampler=sampler, update=update)
    go(whole, range(4))
    half = make(sampler=sampler, update=update)
    go(half, range(2))
    save_file(half.state_dict(), tmp_path / "head.safetensors")
    resumed = FastPartialFC(DIM, CLASSES, "cosface", 16.0, 0.3, 0.4, sampler=sampler, update=update)
    resumed.load_state_dict(load_file(tmp_path / "head.safetensors"))
    go(resumed, range(2, 4))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_more_positives_than_the_sample_are_kept_and_counted() -> None:
    head = make(0.1).double()  # 9 of 90
    embeddings = torch.randn(20, DIM, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(20)
    sample = head.draw(labels)
    loss = head.loss_over(embeddings, sample)
    assert head.overflow_steps == 1
    torch.testing.assert_close(loss.detach(), by_definition(head, embeddings, labels, sample)[0])


def test_memory_of_a_step_does_not_grow_with_the_classes() -> None:
    def held(classes: int) -> int:
        head = FastPartialFC(16, classes, "cosface", 64, 0.4, 0.3, keep_bytes=0)
        head(torch.randn(8, 16, requires_grad=True), torch.arange(8)).backward()
        head.step(0.1)
        return head.scratch_bytes - head._scratch._held["inverse"].nbytes  # one number a sampled row

    assert held(300_000) == held(600_000)


def test_bfloat16_lowers_the_products_of_the_logits() -> None:
    rows, labels = batch(12)
    plain = make(1.0)(rows.detach().float(), labels)
    with torch.autocast("cpu", torch.bfloat16):
        lowered = make(1.0)(rows.detach().float(), labels)
    assert lowered.dtype == torch.float32
    assert 1e-5 < abs(float(lowered - plain)) < 0.2


def test_a_step_needs_a_gradient_and_uses_it_once() -> None:
    head, (rows, labels) = make().double(), batch()
    with pytest.raises(RuntimeError, match="call backward"):
        head.step(0.1)
    loss = head(rows, labels)
    with pytest.raises(RuntimeError, match="call backward"):
        head.gradient_norm()
    loss.backward()
    head.step(0.1)
    with pytest.raises(RuntimeError, match="call backward"):
        head.step(0.1)


def test_two_losses_at_once_are_refused_and_not_mixed_up() -> None:
    head, (rows, labels) = make().double(), batch()
    first, second = head(rows, labels), head(rows, labels)
    with pytest.raises(RuntimeError, match="only the last loss"):
        first.backward()
    second.backward()
    with pytest.raises(RuntimeError, match="is waiting"):
        head(rows, labels)
    head.skip()
    head(rows, labels).backward()


def test_a_loss_that_is_only_looked_at_disturbs_no_step() -> None:
    def moved(look: bool) -> torch.Tensor:
        head, (rows, labels) = make(1.0).double(), batch()
        loss = head(rows, labels)
        if look:
            head(rows.detach() + 1, labels.flip(0))
        loss.backward()
        if look:
            head(rows.detach() - 1, labels.flip(0))
        head.step(0.1)
        return head.rows

    assert torch.equal(moved(True), moved(False))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"sampler": "topk"}, "unknown sampler"), ({"update": "row"}, "did you mean 'rows'"), ({"kind": "cos"}, "cosface"),
     ({"rate": 0.0}, "sample_rate"), ({"rate": 0.001}, "less than one")],
)  # fmt: skip
def test_what_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", [torch.tensor([0, CLASSES]), torch.tensor([-1, 0]), torch.tensor([0])])
def test_labels_that_do_not_fit_are_refused(labels: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="labels must"):
        make()(torch.randn(2, DIM), labels)


@pytest.mark.parametrize("scale", [64.0, 200.0])  # the most that needs no maximum, and one that does
@pytest.mark.parametrize("keep_bytes", [0, 10**8])
def test_subnormal_numbers_are_never_made(monkeypatch: pytest.MonkeyPatch, scale: float, keep_bytes: int) -> None:
    """Processors are tens of times slower on them, and most exponentials of a large scale would be."""
    monkeypatch.setattr(class_sampling, "_BLOCK", 7)
    monkeypatch.setattr(class_sampling, "_TOGETHER", 20)
    powers, seen = ChunkedSoftmax._powers, []

    def watched(*given: Any, **how: Any) -> torch.Tensor:
        made = powers(*given, **how)
        seen.extend(made[made > 0].tolist())
        return made

    monkeypatch.setattr(ChunkedSoftmax, "_powers", watched)
    head, labels = make(1.0, scale=scale, margin=0.4, keep_bytes=keep_bytes), torch.arange(12)
    # On their own centres, and opposite to another's: cosines from 1 to -1.
    embeddings = torch.cat([head.centres()[:6], -head.centres()[20:26]]).requires_grad_()
    head(embeddings, labels).backward()
    head.step(0.1)
    assert torch.finfo(torch.float32).tiny <= min(seen) < 1e-25
