from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import pytest
from matplotlib.figure import Figure

from reports.canvas import ratio_ticks
from reports.contrast_plots import _limits, _panels, contrasts_figure
from reports.contrasts import Contrast, Pair
from reports.estimates import Estimate, study_estimates
from reports.figure_files import png, svg
from reports.figures_style import INK, MARK, MUTED, PAPER
from reports.frame import build_frame
from reports.reader import Part
from reports.stats import Interval

FINDING = "4_norm_ln_vs_bn"


def estimate(at: float = 0.03, half: float = 0.01, metric: str = "tpr@1e-4", **declared: Any) -> Estimate:
    contrast = Contrast(finding=FINDING, better="ln", than="bn", metric=metric, **declared)
    return Estimate(
        "norm", contrast, metric, Interval(at, at - half, at + half, half / 4, 0, 2, math.inf, 3), (0, 1, 2)
    )


def ratio(at: float = 1.3) -> Estimate:
    contrast = Contrast(finding=FINDING, kind="cost_ratio", better="ln", than="bn", metric="cost.seconds")
    return Estimate("norm", contrast, "seconds", Interval(at, at / 1.1, at * 1.1, 0.02, 0, 2, math.inf, 3), (0, 1, 2))


def crossed(*sizes: float) -> Estimate:
    """An interaction, and its two differences."""
    whole = estimate(sum(sizes), kind="interaction", elsewhere=Pair(better="c", than="d"))
    parts = [Part(*pair, (), estimate(size).shown[0][1]) for pair, size in zip(whole.pairs, sizes, strict=True)]
    return replace(whole, parts=tuple(parts))


def words(figure: Figure) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg(figure, "p", "l")).iter("text")]


def lines(figure: Figure, color: str, panel: int = 0) -> list[list[float]]:
    """The x values of the panel's lines of one colour, from top to bottom."""
    return [list(line.get_xdata()) for line in figure.axes[panel].lines if line.get_color() == color]


def test_a_row_has_its_contrast_metric_numbers_interval_and_mark() -> None:
    figure = contrasts_figure([estimate(), estimate(0.05, 0.02, metric="auroc", smallest_effect=0.005)])
    shown = words(figure)
    assert {"ln − bn", "TPR@1e-4", "AUROC", "+0.030 [+0.020, +0.040]", "+0.0500 [+0.0300, +0.0700]"} <= set(shown)
    assert lines(figure, MARK) == [[0.02, 0.02], [0.005, 0.005]]
    intervals, points = lines(figure, INK)[::2], lines(figure, INK)[1::2]
    assert intervals == [pytest.approx([0.02, 0.04]), pytest.approx([0.03, 0.07])]
    assert points == [[0.03], [0.05]]


def test_an_interaction_has_a_row_for_each_of_its_differences() -> None:
    """Their sum may be sure where neither is, and hides two that go opposite ways."""
    figure = contrasts_figure([crossed(0.05, -0.03)])
    assert lines(figure, INK)[1::2] == [[0.05], [-0.03]]
    assert {"ln − bn", "c − d", "+0.050 [+0.040, +0.060]", "−0.030 [−0.040, −0.020]"} <= set(words(figure))
    absent = replace(crossed(0.05, -0.03), interval=None, parts=(), missing="no run")
    assert {"(ln − bn)", "+ (c − d)", "no run"} <= set(words(contrasts_figure([absent])))


def test_the_mark_of_not_worse_is_minus_the_margin() -> None:
    figure = contrasts_figure([estimate(kind="non_inferiority", margin=0.03)])
    assert lines(figure, MARK) == [[-0.03, -0.03]]
    assert "largest loss that is allowed" in words(figure)
    assert "smallest effect worth having" not in words(figure)


def test_a_contrast_that_does_not_decide_is_hollow_and_muted() -> None:
    decides, beside = contrasts_figure([estimate()]), contrasts_figure([estimate(decides=False)])
    assert "no verdict depends on it" in words(beside)
    assert "no verdict depends on it" not in words(decides)
    (point,) = [line for line in beside.axes[0].lines if len(line.get_xdata()) == 1]
    assert (point.get_markerfacecolor(), point.get_color()) == (PAPER, MUTED)
    (point,) = [line for line in decides.axes[0].lines if len(line.get_xdata()) == 1]
    assert (point.get_markerfacecolor(), point.get_color()) == (INK, INK)


def test_a_contrast_that_a_gate_forbids_to_judge_is_hollow_as_on_the_first_page() -> None:
    gated = replace(estimate(), gate="The test set is too small.")
    figure = contrasts_figure([gated, estimate()])
    hollow, solid = (line for line in figure.axes[0].lines if line.get_marker() == "o")
    assert (hollow.get_markerfacecolor(), hollow.get_color()) == (PAPER, INK)
    assert (solid.get_markerfacecolor(), solid.get_color()) == (INK, INK)
    assert "a gate forbids to judge it" in words(figure)
    assert "a gate forbids to judge it" not in words(contrasts_figure([estimate()]))
    assert {"a gate forbids to judge it", "no verdict depends on it"} <= set(
        words(contrasts_figure([gated, estimate(decides=False)]))
    )
    assert "a gate forbids to judge it" not in words(contrasts_figure([replace(estimate(decides=False), gate="x")]))


def test_the_key_of_all_marks_fits_the_figure() -> None:
    limit = estimate(kind="non_inferiority", margin=0.03)
    figure = contrasts_figure([replace(estimate(), gate="x"), estimate(decides=False), estimate(), limit])
    figure.canvas.draw()
    key = figure.legends[0].get_window_extent()
    assert figure.bbox.x0 <= key.x0 < key.x1 <= figure.bbox.x1


def test_a_contrast_without_an_estimate_says_why() -> None:
    absent = replace(estimate(), interval=None, missing="Arm 'bn' of 'norm' has no run yet.")
    figure = contrasts_figure([estimate(), absent])
    (note,) = [text for text in figure.axes[0].texts if text.get_style() == "italic"]
    assert (note.get_text(), note.get_color()) == (absent.missing, MUTED)
    assert len(lines(figure, MARK)) == 1


def test_ratios_have_a_log_panel_of_their_own_only_if_there_are_any() -> None:
    assert [axes.get_xscale() for axes in contrasts_figure([estimate()]).axes] == ["linear"]
    figure = contrasts_figure([ratio(), estimate()])
    assert [axes.get_xscale() for axes in figure.axes] == ["linear", "log"]
    assert lines(figure, MARK, panel=1) == [[1.02, 1.02]]
    assert "×1.30 [×1.18, ×1.43]" in words(figure)
    assert "bn / ln" in words(figure)
    assert [axes.get_xscale() for axes in contrasts_figure([ratio()]).axes] == ["log"]


def test_costs_as_differences_do_not_share_the_axis_of_rates() -> None:
    seconds = replace(estimate(40.0, 5.0, kind="non_inferiority", margin=9), metric="seconds")
    figure = contrasts_figure([estimate(), seconds])
    assert len(figure.axes) == 2
    assert figure.axes[0].get_xlim()[1] < 0.1
    assert figure.axes[1].get_xlabel().startswith("difference in seconds")


def test_a_wide_interval_ends_in_arrows_and_leaves_the_points_readable() -> None:
    figure = contrasts_figure([estimate(), estimate(0.02, 5.0)])
    low, high = figure.axes[0].get_xlim()
    assert -0.1 < low < 0 < 0.04 < high < 0.1
    arrows = [line.get_marker() for line in figure.axes[0].lines if line.get_marker() in ("<", ">")]
    assert arrows == ["<", ">"]
    assert "+0.020 [−4.980, +5.020]" in words(figure)


@pytest.mark.parametrize("wide", [False, True])
def test_the_axis_holds_all_points_marks_and_the_line_of_no_difference(wide: bool) -> None:
    ((_, rows),) = _panels([estimate(-0.2, 9 if wide else 0.01), estimate(0.3, 0.1, smallest_effect=0.4)])
    low, high = _limits(rows, ratio=False)
    assert low < -0.2
    assert high > 0.4
    ((_, rows),) = _panels([ratio(0.5), ratio(3.0)])
    low, high = _limits(rows, ratio=True)
    assert 0 < low < 0.5
    assert high > 3


def test_one_seed_and_no_spread_have_a_point_and_say_so() -> None:
    one = replace(estimate(), interval=Interval(0.1, math.nan, math.nan, math.nan, 0, 0, math.inf, 1))
    same = replace(estimate(), interval=Interval(0.0, 0.0, 0.0, 0.0, 0, 2, math.inf, 3))
    figure = contrasts_figure([one, same])
    assert {"+0.100 (one seed, no interval)", "+0.000 (the same in all 3 seeds)"} <= set(words(figure))
    assert [0.1] in lines(figure, INK)


@pytest.mark.parametrize(("low", "high"), [(0.9, 1.3), (0.2, 8.0), (0.001, 500.0)])
def test_ticks_of_ratios_are_few_and_inside(low: float, high: float) -> None:
    ticks = ratio_ticks(low, high)
    assert 3 <= len(ticks) <= 9
    assert all(low <= tick <= high for tick in ticks)
    assert 1.0 in ticks


def test_contrasts_of_a_study_and_of_none(world: Any) -> None:
    frame = build_frame(world.cells, world.store)
    for study in world.studies:
        figure = contrasts_figure(study_estimates(study, frame))
        assert len(png(figure)) > 5000
    assert len(png(contrasts_figure([]))) > 500


def test_hostile_arms_are_shown_as_themselves_and_cut() -> None:
    contrast = Contrast(finding=FINDING, better="<b>$x$\n_", than="y" * 60 + "z")
    shown = words(contrasts_figure([replace(estimate(), contrast=contrast)]))
    assert "<b>$x$ _ − " + "y" * 11 + "…" + "y" * 9 + "z" in shown


def test_large_costs_have_short_ticks() -> None:
    """Which would run into one another, or have a power of ten of their own at the end of the axis."""
    figure = contrasts_figure([estimate(3_386_032.0, 1000.0, metric="parameters", smallest_effect=10_000.0)])
    shown = words(figure)
    assert {"0", "1M", "3M"} <= set(shown)
    assert not [text for text in shown if "1e6" in text]
    small = words(contrasts_figure([estimate(3.0, 1.0, metric="seconds", smallest_effect=1.0)]))
    assert {"0.0", "1.0", "2.0"} <= set(small)
