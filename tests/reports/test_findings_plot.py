from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest

from reports.canvas import FARTHEST
from reports.claims import findings
from reports.figures_style import INK, PAPER
from reports.findings_plot import COLORS, findings_figure
from reports.stats import Interval
from reports.verdicts import Verdict
from tests.reports.test_contrast_plots import crossed, estimate, lines, ratio, words

NORM, NECK, PFC = (findings()[name] for name in ("4_norm_ln_vs_bn", "7_neck", "1_partial_fc"))


def verdict(outcome: Any = "reproduced", finding: Any = NORM, *estimates: Any) -> Verdict:
    return Verdict(finding, outcome, "why", estimates or (estimate(),))


def test_all_are_drawn_in_multiples_of_what_is_worth_having() -> None:
    figure = findings_figure([verdict(), verdict("contradicted", NECK, estimate(-0.03, 0.01))])
    interval, point = lines(figure, COLORS["reproduced"])
    assert interval == pytest.approx([1.0, 2.0])  # 0.02 to 0.04 of 0.02
    assert point == pytest.approx([1.5])
    assert lines(figure, COLORS["contradicted"])[1] == pytest.approx([-1.5])
    assert lines(figure, INK) == [[1.0, 1.0]] * 2
    assert {"4  reproduced", "7  contradicted", "ln − bn", "+0.030 [+0.020, +0.040]"} <= set(words(figure))


def test_a_row_says_what_is_subtracted_on_which_metric() -> None:
    """An interaction is two differences, each of which must be there, and shifted captures are not the usual ones."""
    shifted = replace(estimate(), metric="shifted.tpr@1e-4")
    shown = words(findings_figure([verdict("reproduced", NORM, estimate(), crossed(0.01, 0.02), shifted)]))
    assert shown.count("ln − bn") == 3
    assert {"c − d", "TPR@1e-4, shifted captures"} <= set(shown)
    assert {text.split(" ")[0] for text in shown if "[" in text} == {"+0.030", "+0.010", "+0.020"}
    assert shown.count("TPR@1e-4, shifted captures") == 1


def test_a_claim_of_no_loss_has_its_mark_at_minus_the_margin() -> None:
    figure = findings_figure([verdict("reproduced", NECK, estimate(-0.01, 0.01, kind="non_inferiority", margin=0.04))])
    assert lines(figure, INK) == [[-1.0, -1.0]]
    assert lines(figure, COLORS["reproduced"])[1] == pytest.approx([-0.25])


def test_a_ratio_is_drawn_by_its_logarithm() -> None:
    figure = findings_figure([verdict("reproduced", PFC, ratio(1.02**1.5))])
    assert lines(figure, COLORS["reproduced"])[-1] == pytest.approx([1.5])


def test_what_lies_beyond_the_axis_is_an_arrow_and_a_gated_estimate_is_hollow() -> None:
    figure = findings_figure([verdict("reproduced", NORM, estimate(0.5)), verdict("inconclusive", NECK, gated())])
    arrows = [line for line in figure.axes[0].lines if line.get_marker() == ">"]
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == PAPER]
    assert len(arrows) == len(hollow) == 1
    low, high = figure.axes[0].get_xlim()
    assert all(low <= value <= high for line in figure.axes[0].lines for value in line.get_xdata())


def test_one_seed_beyond_the_axis_is_an_arrow_too() -> None:
    alone = replace(estimate(), interval=Interval(-0.5, math.nan, math.nan, math.nan, 0, 0, math.inf, 1))
    (axes,) = findings_figure([verdict("inconclusive", NORM, alone)]).axes
    assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "<"] == [-FARTHEST]


def test_a_gated_estimate_beyond_the_axis_is_a_hollow_arrow() -> None:
    far = replace(estimate(0.5), gate="Nothing differs.")
    (axes,) = findings_figure([verdict("inconclusive", NORM, far)]).axes
    assert [line.get_markerfacecolor() for line in axes.lines if line.get_marker() == ">"] == [PAPER]


@pytest.mark.parametrize("finding", [NORM, NORM.model_copy(update={"id": "narrow-is-enough"})])
def test_a_verdict_is_not_written_over_names(finding: Any) -> None:
    names = {"better": "half-margin-narrow", "than": "half-margin-wide-head"}
    long = replace(estimate(), contrast=estimate().contrast.model_copy(update=names))
    figure = findings_figure([verdict("not reproduced", finding, long, long)])
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not [1 for one, other in itertools.combinations(boxes, 2) if one.overlaps(other)]
    assert min(box.x0 for box in boxes) >= 0


def gated() -> Any:
    return replace(estimate(), gate="Nothing differs.")


def test_what_does_not_decide_or_was_not_run_has_no_row() -> None:
    absent = replace(estimate(), interval=None, missing="no run")
    figure = findings_figure([verdict("not run", NORM, absent), verdict("reproduced", NECK, estimate(), beside())])
    assert len(lines(figure, INK)) == 1


def beside() -> Any:
    return estimate(0.01, decides=False)
