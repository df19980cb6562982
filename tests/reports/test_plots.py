from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from reports import plots
from reports.claims import Arm, Study
from reports.cost_plots import cost_figure
from reports.curve_plots import _FPR_GRID, _on_grid, curves_figure, roc_figure
from reports.figure_files import png, svg
from reports.figures_style import INK, looks
from reports.frame import build_frame, curves, rocs


def opened(figure: Figure) -> np.ndarray:
    """(H, W, 3) uint8."""
    return np.asarray(Image.open(io.BytesIO(png(figure))).convert("RGB"))


def words(figure: Figure) -> str:
    """Every text that the figure shows."""
    return " | ".join(node.text or "" for node in ET.fromstring(svg(figure, "p", "label")).iter("text"))


def drawn(world: Any, study: Study, frame: pd.DataFrame) -> dict[str, Figure]:
    return {
        "arms": plots.arms_figure(study, frame),
        "roc": roc_figure(study, rocs(world.cells, world.store)),
        "curves": curves_figure(study, curves(world.cells, world.store)),
        "ladder": plots.ladder_figure(study, frame, frame["classes"]),
        "cost": cost_figure(study, frame),
    }


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
    for study in world.studies:
        for name, figure in drawn(world, study, frame).items():
            pixels = opened(figure)
            assert pixels.shape[1] == 1200, name
            assert len(png(figure)) < 200_000, name
            for arm, look in looks(study).items():
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
    assert 700 < many < 900


def test_figures_without_a_run_are_still_figures(world: Any) -> None:
    study = world.studies[0]
    nothing = build_frame([cell for cell in world.cells if cell.key is None], world.store)
    bare = replace(world, cells=())
    for name, figure in drawn(bare, study, nothing).items():
        assert not shows(opened(figure), "#0072B2"), name
        assert "no finished run" in words(figure), name


def test_figures_of_one_seed(world: Any) -> None:
    cells = tuple(cell for cell in world.cells if cell.seed == 0)
    frame = build_frame(cells, world.store)
    for name, figure in drawn(replace(world, cells=cells), world.studies[0], frame).items():
        assert shows(opened(figure), "#0072B2"), name


def test_a_seed_is_joined_from_arm_to_arm_and_the_line_breaks_where_it_has_no_run(world: Any) -> None:
    frame = build_frame(world.cells, world.store)
    axes = plots.arms_figure(world.studies[0], frame).axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 3]  # ln, bn, ln_bn; the fourth arm has no run
    values = frame[frame["study"] == "norm"].pivot(index="seed", columns="arm", values="tpr@1e-4")
    assert len(lines) == 3
    for seed, line in enumerate(lines):
        np.testing.assert_array_equal(line.get_xdata(), values.loc[seed, ["ln", "bn", "ln_bn"]])
    assert np.isnan(lines[2].get_xdata()[1])


@pytest.mark.parametrize("values", [[0.0, 1.0], [-1.0, 2.0], [5.0, 5.0]])
def test_a_ladder_with_zero_negative_or_equal_steps(values: list[float]) -> None:
    rows = [
        {"study": "s", "arm": f"arm{arm}", "seed": seed, "state": "done", "tpr@1e-4": 0.3 + 0.1 * arm}
        for arm in (0, 1)
        for seed in (0, 1)
    ]
    x = pd.Series([values[row["arm"] == "arm1"] for row in rows], name="weight")
    assert shows(opened(plots.ladder_figure(study_with(2), pd.DataFrame(rows), x)), "#0072B2")


HOSTILE = ["$\\frac", "_hidden", "<b>&amp;", 'id="x" #0072b2 url(#y)', "two\nlines", "nul\x00\x0b", "\ud800", "b" * 80]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_shown_as_themselves(world: Any, name: str) -> None:
    """As text: no formula, no markup, nothing that an SVG may not hold; cut where they are long."""
    study = Study(study="norm", title="t", question="q", baseline="ln", arms={"ln": Arm(), name: Arm()})
    cells = tuple(replace(cell, arm=name) if cell.arm == "bn" else cell for cell in world.cells)
    renamed = replace(world, cells=cells)
    shown = {"two\nlines": "two lines", "nul\x00\x0b": "nul ", "\ud800": " ", "b" * 80: "b" * 27 + "…"}.get(name, name)
    for kind, figure in drawn(renamed, study, build_frame(cells, world.store)).items():
        assert opened(figure).shape[1] == 1200, kind
        assert shown in words(figure), kind


def test_the_roc_is_read_between_points_and_not_below_the_first() -> None:
    grid = _FPR_GRID
    roc = pd.DataFrame({"fpr": [0.0, 1e-4, 1e-2, 1.0], "tpr": [0.0, 0.2, 0.6, 1.0]})
    tpr = _on_grid(roc)
    assert np.isnan(tpr[grid < 0.99e-4]).all()
    assert tpr[np.argmin(np.abs(np.log(grid / 1e-3)))] == pytest.approx(0.4)


def test_the_roc_has_a_band_from_the_lowest_seed_to_the_highest() -> None:
    rows = [
        {"study": "s", "arm": "arm0", "seed": seed, "fpr": fpr, "tpr": tpr + 0.1 * seed}
        for seed in (0, 1, 2)
        for fpr, tpr in ((1e-5, 0.2), (1.0, 0.7))
    ]
    (band,) = roc_figure(study_with(2), pd.DataFrame(rows)).axes[0].collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(0.2)
    assert heights.max() == pytest.approx(0.9)
    one_seed = pd.DataFrame([row for row in rows if row["seed"] == 0])
    assert not roc_figure(study_with(2), one_seed).axes[0].collections


def test_steps_of_a_ladder_are_labelled_where_there_is_room() -> None:
    assert plots._apart([100.0]) == [100.0]
    assert plots._apart([1.0, 1.1, 10.0, 1000.0]) == [1.0, 10.0, 1000.0]


def costs(arms: int, size: bool) -> pd.DataFrame:
    return pd.DataFrame([
        {"study": "s", "arm": f"arm{arm}", "seed": seed, "state": "done", "tpr@1e-4": 0.3 + 0.05 * arm + 0.01 * seed,
         "seconds": 50.0 + 10 * arm + seed, "size_mb": 5.0 + size * arm, "device": "cpu", "hardware": "one"}
        for arm in range(arms) for seed in (0, 1, 2)
    ])  # fmt: skip


def test_cost_against_quality_has_a_panel_of_sizes_only_where_they_differ() -> None:
    assert len(cost_figure(study_with(3), costs(3, size=False)).axes) == 1
    assert len(cost_figure(study_with(3), costs(3, size=True)).axes) == 2


def test_cost_against_quality_has_the_mean_and_one_standard_deviation() -> None:
    (bars, *_) = cost_figure(study_with(2), costs(2, size=False)).axes[0].containers
    (point,) = bars.lines[0].get_xydata()
    np.testing.assert_allclose(point, [61, 0.36])  # arm1, the baseline, is drawn first
    ((left, right),) = bars.lines[2][0].get_segments()
    assert right[0] - left[0] == pytest.approx(2.0)  # SD of 60, 61, 62 with ddof 1, both ways


def test_points_of_cost_are_named_beside_them_or_in_a_legend() -> None:
    few = cost_figure(study_with(3), costs(3, size=False)).axes[0]
    assert {text.get_text() for text in few.texts} == {"arm0", "arm1", "arm2"}
    assert few.get_legend() is None
    many = cost_figure(study_with(12), costs(12, size=False)).axes[0]
    assert len(many.get_legend().texts) == 12
    names = [f"arm{index}" + "-of-a-long-name" * 2 for index in range(6)]
    study = Study(study="s", title="t", question="q", baseline=names[0], arms={name: Arm() for name in names})
    together = costs(6, size=True).assign(**{"tpr@1e-4": 0.5})
    together["arm"] = together["arm"].map(lambda arm: names[int(arm[3:])])
    crowded = cost_figure(study, together).axes
    assert [len(axes.texts) for axes in crowded] == [0, 0]
    assert len(crowded[1].get_legend().texts) == 6


def test_times_of_different_hardware_are_not_to_be_compared() -> None:
    rows = costs(2, size=False)
    assert "not comparable" not in words(cost_figure(study_with(2), rows))
    rows.loc[0, "hardware"] = "another"
    assert "not comparable" in words(cost_figure(study_with(2), rows))
