"""Samples of classes: of the right size, uniform, the batch's own always in, and nothing drawn where all are used."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from core.loss.class_sampling import SAMPLERS, Block, ClassSampler, uniform_subset
from core.loss.table_rows import Runs, numbers
from core.ranks import Part

CPU = torch.device("cpu")


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("total", "count"), [(1, 1), (5, 0), (9, 9), (50, 3), (1000, 300), (1000, 900), (10**7, 500)])
def test_a_subset_is_sorted_distinct_and_of_the_size_asked_for(total: int, count: int) -> None:
    for seed in range(20):
        drawn = uniform_subset(total, count, stream(seed))
        assert drawn.dtype == torch.int64
        assert len(drawn) == count
        assert (drawn.diff() > 0).all()
        if count:
            assert int(drawn[0]) >= 0
            assert int(drawn[-1]) < total


def test_more_than_there_are_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="cannot draw 6 of 5"):
        uniform_subset(5, 6, stream())


def test_every_set_is_equally_likely() -> None:
    # Of pairs, not of single rows alone: a sampler of neighbours has the single rows right too.
    draws, total = 30_000, 60
    generator = stream(3)
    sets = [tuple(uniform_subset(total, 2, generator).tolist()) for _ in range(draws)]
    expected = draws / math.comb(total, 2)
    counts = dict.fromkeys(itertools.combinations(range(total), 2), 0.0)
    for pair in sets:
        counts[pair] += 1
    chi = sum((count - expected) ** 2 / expected for count in counts.values())
    freedom = len(counts) - 1
    assert abs(chi - freedom) < 4.5 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("kind", SAMPLERS)
def test_the_batch_is_in_once_and_the_size_is_kept(kind: str) -> None:
    sampler = ClassSampler(kind, 5000, 700, stream())
    for seed in range(30):
        labels = torch.randint(5000, (60,), generator=stream(seed))
        sample = sampler.draw(labels, CPU)
        own = sampler.class_ids(sample)[: len(sample.positives)]
        assert torch.equal(own[sample.target], labels)
        rows = sampler.class_ids(sample).tolist()
        assert len(set(rows)) == len(rows)
        assert set(labels.tolist()) <= set(rows)
        assert not sample.overflow
        if kind == "uniform":
            assert len(rows) == 700
        else:
            assert 700 - sampler.window - len(labels) < len(rows) <= 700


@pytest.mark.parametrize("kind", SAMPLERS)
def test_every_other_class_is_as_likely(kind: str) -> None:
    classes, size, steps = 200, 64, 3000
    sampler, labels = ClassSampler(kind, classes, size, stream(1)), torch.tensor([3, 3, 150])
    counts = torch.zeros(classes)
    for _ in range(steps):
        counts[sampler.class_ids(sampler.draw(labels, CPU))] += 1
    assert counts[3] == counts[150] == steps
    others = torch.ones(classes, dtype=torch.bool)
    others[[3, 150]] = False
    share = counts[others].mean() / steps
    assert 0.28 < share < 0.32
    assert ((counts[others] - steps * share).abs() < 4.5 * math.sqrt(steps * share * (1 - share))).all()


@pytest.mark.parametrize("kind", SAMPLERS)
def test_room_for_all_takes_all_and_draws_nothing(kind: str) -> None:
    generator = stream()
    before = generator.get_state()
    sampler = ClassSampler(kind, 2500, 2500, generator)
    sample = sampler.draw(torch.tensor([7, 2499, 7]), CPU)
    assert sorted(sampler.class_ids(sample).tolist()) == list(range(2500))
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_batch_with_too_many_classes_keeps_them_and_says_so(kind: str) -> None:
    small, full = (ClassSampler(kind, 100, size, stream()) for size in (5, 9))
    sample = small.draw(torch.arange(9), CPU)
    assert sample.overflow
    assert sample.blocks == ()
    assert sorted(small.class_ids(sample).tolist()) == list(range(9))
    assert not full.draw(torch.arange(9), CPU).overflow


@pytest.mark.parametrize("left", range(14))
def test_room_for_less_than_a_window_draws_none(left: int) -> None:
    sampler = ClassSampler("windows", 1000, 200, torch.Generator().manual_seed(left))
    sample = sampler.draw(torch.arange(200 - left), torch.device("cpu"))
    used = sampler.class_ids(sample)
    assert sampler.window == 6
    assert len(used) == len(used.unique())
    assert set(range(200 - left)) <= set(used.tolist())
    assert (len(used) == 200 - left) or left >= 6


def test_an_unknown_sampler_is_named() -> None:
    with pytest.raises(ValueError, match="did you mean 'windows'"):
        ClassSampler("window", 10, 5, stream())


def test_a_loaded_sampler_draws_on_and_another_ones_state_is_refused() -> None:
    labels = torch.tensor([3, 40])
    first = ClassSampler("windows", 100, 40, stream(1))
    first.draw(labels, CPU)
    second = ClassSampler("windows", 100, 40, stream(2))
    second.load(first.state())
    assert torch.equal(first.class_ids(first.draw(labels, CPU)), second.class_ids(second.draw(labels, CPU)))
    for other in (ClassSampler("uniform", 100, 40, stream()), ClassSampler("windows", 90, 40, stream())):
        with pytest.raises(ValueError, match="is not of a"):
            other.load(first.state())


@pytest.mark.parametrize(("start", "stop"), [(0, 30), (0, 12), (12, 30), (14, 16), (20, 22), (3, 4)])
def test_a_part_of_a_block_of_runs_hides_what_the_block_hides(start: int, stop: int) -> None:
    block = Block(Runs((slice(3, 8), slice(10, 15), slice(22, 29))), torch.tensor([0, 4, 6, 9, 16]))
    found = block.within(Part(start, stop, 30))
    hidden = {3, 7, 11, 14, 28}  # rows of the table
    rows = [row for row in [*range(3, 8), *range(10, 15), *range(22, 29)] if start <= row < stop]
    assert numbers(found.rows).tolist() == [row - start for row in rows]
    assert len(found) == len(rows)
    none = torch.empty(0, dtype=torch.int64)
    kept = found.hidden if found.hidden is not None else none
    assert kept.tolist() == [place for place, row in enumerate(rows) if row in hidden]
