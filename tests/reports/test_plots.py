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
from reports.curve_plots import curves_figure, roc_figure
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


def test_looks_tell_many_arms_apart_and_the_baseline_is_dark() -> None:
    found = looks(study_with(29))
    assert found["arm1"].color == INK
    assert len(set(found.values())) == 29
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


def legends(names: list[str]) -> list[Any]:
    """The legends of every figure that has one, of a study of these arms."""
    study = Study(study="s", title="t", question="q", baseline=names[0], arms={name: Arm() for name in names})
    rows = pd.DataFrame([
        {"study": "s", "arm": name, "seed": 0, "state": "done", "samples": 100, "fpr": 0.1, "tpr": 0.5, "loss": 1.0,
         "tpr@1e-3": 0.5, "tpr@1e-4": 0.3 + index / 99, "seconds": 50.0 + index, "size_mb": 5.0, "device": "cpu",
         "hardware": "one"}
        for index, name in enumerate(names)
    ])  # fmt: skip
    drawn = [
        roc_figure(study, rows), curves_figure(study, rows), plots.ladder_figure(study, rows, rows["seconds"]),
        cost_figure(study, rows),
    ]  # fmt: skip
    for figure in drawn:
        figure.draw_without_rendering()
    found = [axes.get_legend() for figure in drawn for axes in figure.axes if axes.get_legend()]
    assert len(found) >= 3, "a figure has lost its legend: what follows would look at none"
    return found


def test_legends_of_many_arms_are_whole_and_in_declared_order() -> None:
    names = [f"arm{index}" for index in range(29)]
    for legend in legends(names):
        assert [text.get_text() for text in legend.texts] == ["arm0 (baseline)", *names[1:]]
        assert legend.figure.bbox.y0 <= legend.get_window_extent().y0


def test_one_of_two_arms_that_are_cut_to_the_same_name_is_the_baseline() -> None:
    for legend in legends([f"{'x' * 20}{index}{'x' * 20}" for index in (1, 2)]):
        shown = [text.get_text() for text in legend.texts]
        assert shown[:2] == [f"{'x' * 14}…{'x' * 13} (baseline)", f"{'x' * 14}…{'x' * 13}"]


def test_long_names_that_differ_at_their_end_are_told_apart() -> None:
    for legend in legends([f"{'x' * 40}-{end}" for end in ("bn", "ln")]):
        assert [text.get_text()[-4:] for text in legend.texts[1:]] == ["x-ln"]


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
    shown = {"two\nlines": "two lines", "nul\x00\x0b": "nul ", "\ud800": " ", "b" * 80: f"{'b' * 14}…{'b' * 13}"}.get(
        name, name
    )
    for kind, figure in drawn(renamed, study, build_frame(cells, world.store)).items():
        assert opened(figure).shape[1] == 1200, kind
        assert shown in words(figure), kind


def test_steps_of_a_ladder_are_labelled_where_there_is_room() -> None:
    assert plots._apart([100.0]) == [100.0]
    assert plots._apart([1.0, 1.1, 10.0, 1000.0]) == [1.0, 10.0, 1000.0]


def test_steps_of_a_ladder_are_told_whole() -> None:
    rows = pd.DataFrame(
        {"study": "s", "arm": f"arm{arm}", "seed": 0, "state": "done", "tpr@1e-4": 0.3 + 0.1 * arm} for arm in range(3)
    )
    x = pd.Series([0.125, 693.5, 1_386_032.0], name="parameters")
    shown = words(plots.ladder_figure(study_with(3), rows, x))
    assert all(step in shown for step in ("0.125", "693.5", "1,386,032"))
