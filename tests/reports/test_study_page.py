"""What a study's page says of its costs, and of published values."""

from __future__ import annotations

from typing import Any

import pytest

from reports.claims import Arm, Study
from reports.material import Material
from reports.page import to_markdown
from reports.study_figures import study_figures
from reports.study_page import PUBLISHED_NOTE, study_page
from tests.reports.conftest import World, reseal


def page(world: World, study: Study | None = None) -> str:
    study = study or world.studies[0]
    material = Material.read([study], world.cells, world.store, {3: 1.0}, {})
    return to_markdown(study_page(study, material, {}, [], world.store))


@pytest.mark.parametrize(
    ("machine", "told"),
    [
        ({}, "went at 1,000 to 9,000 samples/s, as the machine had other work at times"),
        (
            {"device": "cuda", "hardware": "NVIDIA H200"},
            "The runs are of different hardware (cpu on AMD EPYC; cuda on NVIDIA H200): means of times, speeds and "
            "memory tell nothing of arms",
        ),
    ],
)
def test_unequal_speeds_are_of_other_work_or_other_hardware(world: World, machine: dict[str, Any], told: str) -> None:
    assert told not in page(world)
    for seed, speed in enumerate((1000.0, 9000.0, 2000.0)):
        key = world.cell("norm", "ln", seed).key
        assert key is not None
        result = world.store.result(key)
        result["cost"]["samples_per_second"] = speed
        result["environment"] |= machine if seed == 1 else {}
        reseal(world.store, key, result)
    text = page(world)
    assert told in text
    assert ("other work" in text) is not bool(machine)


def test_published_values_are_spoken_of_where_an_arm_has_one(pristine: World) -> None:
    study = pristine.studies[0]
    own = study.model_copy(update={"arms": {name: Arm(set=arm.set) for name, arm in study.arms.items()}})
    for what in (PUBLISHED_NOTE, "published TPR@1e-4"):
        assert what in page(pristine)
        assert what not in page(pristine, own)


def test_a_small_test_set_marks_what_may_not_be_read_and_says_where_the_roc_may_be(world: World) -> None:
    def captions(world: World) -> str:
        material = Material.read(world.studies, world.cells, world.store, {3: 1.0}, {})
        return " ".join(caption for _, caption, _, _ in study_figures(world.studies[0], material.frame, [], material))

    assert "Numbers in parentheses may not be read" not in page(world)
    for seed, arm in ((seed, arm) for seed in (0, 1, 2) for arm in ("ln", "bn", "ln_bn")):
        key = world.cell("norm", arm, seed).key
        if key is None or world.store.state(key) != "done":
            continue
        result = world.store.result(key)
        result["test"]["identities"] = 24
        reseal(world.store, key, result)
    shown = page(world)
    assert shown.index("| **`ln`** (baseline) |") < shown.index("Numbers in parentheses may not be read")
    assert "on grey fewer than 30 are" in captions(world)


def test_what_a_study_of_ones_own_does_not_control_for_is_not_the_records(world: World) -> None:
    study = world.studies[0]
    assert "## What the record does not control for" in page(world)
    claims = {"mine": "LayerNorm wins"}
    contrasts = (study.contrasts[0].model_copy(update={"finding": "mine"}),)
    text = page(world, study.model_copy(update={"findings": (), "claims": claims, "contrasts": contrasts}))
    assert "the record" not in text
    assert "## What is not controlled for" in text
