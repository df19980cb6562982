from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reports import plots
from reports.claims import Arm, Study
from reports.figures_style import INK, looks
from reports.frame import build_frame, curves, rocs


def opened(png: bytes) -> np.ndarray:
    """(H, W, 3) uint8."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def shows(pixels: np.ndarray, color: str) -> bool:
    rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.abs(pixels.astype(int) - rgb).max(axis=2) < 6).sum() > 20)


def study_with(arms: int) -> Study:
    names = {f"arm{index}": Arm() for index in range(arms)}
    return Study(study="s", title="t", question="q", baseline="arm1", arms=names)


def test_looks_tell_twelve_arms_apart_and_the_baseline_is_dark() -> None:
    found = looks(study_with(12))
    assert found["arm1"].color == INK
    assert len(set(found.values())) == 12
    assert looks(study_with(3))["arm2"] == found["arm2"]


def test_all_figures_are_page_wide_small_and_draw_every_arm_that_has_runs(world: Any) -> None:
    frame = build_frame(world.cells, world.store)
    study, ladder = world.studies
    figures = {
        "arms": (study, plots.arms_figure(study, frame)),
        "roc": (study, plots.roc_figure(study, rocs(world.cells, world.store))),
        "curves": (study, plots.curves_figure(study, curves(world.cells, world.store))),
        "ladder": (ladder, plots.ladder_figure(ladder, frame, frame["classes"])),
    }
    for name, (of, png) in figures.items():
        pixels = opened(png)
        assert pixels.shape[1] == 1200, name
        assert len(png) < 200_000, name
        for arm, look in looks(of).items():
            assert shows(pixels, look.color) == (arm != "ln_bn_imagenet"), (name, arm)


def test_height_follows_the_number_of_arms() -> None:
    frame = pd.DataFrame(
        [
            {"study": "s", "arm": f"arm{arm}", "seed": seed, "state": "done", "tpr@1e-4": 0.1 * arm + 0.01 * seed}
            for arm in range(12)
            for seed in range(3)
        ]
    )
    few, many = (opened(plots.arms_figure(study_with(arms), frame)).shape[0] for arms in (2, 12))
    assert 200 < few < 320
    assert 800 < many < 1000


def test_figures_without_a_run_are_still_figures(world: Any) -> None:
    study = world.studies[0]
    nothing = build_frame([cell for cell in world.cells if cell.key is None], world.store)
    for png in (
        plots.arms_figure(study, nothing),
        plots.roc_figure(study, rocs([], world.store)),
        plots.curves_figure(study, curves([], world.store)),
        plots.ladder_figure(study, nothing, nothing["classes"]),
    ):
        assert not shows(opened(png), "#0072B2")


@pytest.mark.parametrize("values", [[0.0, 1.0], [-1.0, 2.0], [5.0, 5.0]])
def test_a_ladder_with_zero_negative_or_equal_steps(values: list[float]) -> None:
    rows = [
        {"study": "s", "arm": f"arm{arm}", "seed": seed, "state": "done", "tpr@1e-4": 0.3 + 0.1 * arm}
        for arm in (0, 1)
        for seed in (0, 1)
    ]
    x = pd.Series([values[row["arm"] == "arm1"] for row in rows], name="weight")
    assert shows(opened(plots.ladder_figure(study_with(2), pd.DataFrame(rows), x)), "#0072B2")


def test_a_dollar_sign_in_a_name_is_no_formula(world: Any) -> None:
    arms = {"$\\frac": Arm(), "b" * 80: Arm()}
    study = Study(study="s", title="t", question="q", baseline="$\\frac", arms=arms)
    assert opened(plots.arms_figure(study, build_frame([], world.store))).shape[1] == 1200


def test_the_roc_is_read_between_points_and_not_below_the_first() -> None:
    grid = plots._FPR_GRID
    roc = pd.DataFrame({"fpr": [0.0, 1e-4, 1e-2, 1.0], "tpr": [0.0, 0.2, 0.6, 1.0]})
    tpr = plots._on_grid(roc)
    assert np.isnan(tpr[grid < 0.99e-4]).all()
    assert tpr[np.argmin(np.abs(np.log(grid / 1e-3)))] == pytest.approx(0.4)
