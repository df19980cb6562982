"""Readings of a map, and its figure."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from matplotlib.text import Text

from reports.cells import Cell
from reports.contrasts import Contrast, Pair
from reports.estimates import Estimate, study_estimates
from reports.map_plot import map_figure
from reports.map_readings import COLORS, reading
from reports.maps import _twins
from tests.reports.judging import frame_of, pairs, shifted_by, study_of

WORTH = {"finding": "4_norm_ln_vs_bn", "better": "a", "than": "b", "smallest_effect": 0.05}
KEPT = {**WORTH, "kind": "non_inferiority", "margin": 0.1}


def estimated(claim: dict[str, Any], rows: list[dict[str, Any]]) -> Estimate:
    contrast = Contrast(**claim)
    arms = tuple(dict.fromkeys((*contrast.arms, "a", "b")))
    (one,) = study_estimates(study_of(contrast, arms=arms), frame_of(rows))
    return one


def read(claim: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    return reading(estimated(claim, rows))


@pytest.mark.parametrize(
    ("claim", "effect", "noise", "expected"),
    [
        (WORTH, 0.1, 0.002, "as claimed"),
        (WORTH, -0.1, 0.002, "against"),
        (WORTH, 0.01, 0.002, "too small"),
        (WORTH, 0.0, 0.2, "open"),
        (KEPT, -0.02, 0.002, "as claimed"),
        (KEPT, -0.2, 0.002, "against"),
        (KEPT, -0.1, 0.1, "open"),
    ],
)
def test_what_an_interval_says(claim: dict[str, Any], effect: float, noise: float, expected: str) -> None:
    assert read(claim, shifted_by(effect, noise=noise)) == expected


def test_an_effect_of_which_it_is_not_sure_that_it_is_worth_having_is_open() -> None:
    assert read({**WORTH, "smallest_effect": 0.02}, shifted_by(0.018, noise=0.008)) == "open"


def test_one_seed_and_none() -> None:
    assert read(WORTH, pairs("tpr@1e-4", [0.9], [0.1])) == "open"
    assert read(WORTH, pairs("tpr@1e-4", [0.9, 0.9], [0.1, 0.1])[:2]) == "not there"


def test_runs_of_several_conditions_are_told_of() -> None:
    contrasts = [Contrast(**{**WORTH, "better": better}) for better in ("a", "c", "gone")]
    study = study_of(*contrasts, arms=("a", "b", "c", "gone"))
    under = [
        (label, [Cell("s", arm, 0, key) for arm, key in {"a": "1", "b": "2", "c": own, "gone": None}.items()])
        for label, own in (("margin 0.1", "3"), ("margin 0.3", "4"))
    ]
    told = "The runs are those of margin 0.3: what varies changes neither arm here."
    assert _twins(study, 0, under)["margin 0.1"] == told
    assert _twins(study, 1, under) == _twins(study, 2, under) == {}


def test_a_gate_forbids() -> None:
    rows = [{**row, "tpr@1e-4": 0.0, "tpr@1e-3": 0.0, "tpr@1e-2": 0.0} for row in shifted_by(0.1)]
    assert read(WORTH, rows) == "not judged"


def test_a_trend_is_as_claimed_where_its_levels_rise() -> None:
    claim = {**WORTH, "kind": "trend", "through": ("m",)}
    rows = shifted_by(0.2, n=10)
    for step, expected in ((0.1, "as claimed"), (0.3, "open")):
        between = [row | {"arm": "m", "tpr@1e-4": row["tpr@1e-4"] + step} for row in rows if row["arm"] == "b"]
        assert read(claim, [*rows, *between]) == expected


@pytest.mark.parametrize(
    ("there", "expected"), [(0.1, "as claimed"), (0.0, "too small"), (-0.1, "too small")]
)  # fmt: skip
def test_of_two_parts_each_must_be_as_claimed(there: float, expected: str) -> None:
    claim = {**WORTH, "kind": "interaction", "elsewhere": Pair(better="c", than="d")}
    other = [{**row, "arm": {"a": "c", "b": "d"}[row["arm"]]} for row in shifted_by(there, seed=1)]
    assert read(claim, [*shifted_by(0.1), *other]) == expected


def test_an_interaction_has_a_panel_for_each_of_its_differences() -> None:
    claim = {**WORTH, "kind": "interaction", "elsewhere": Pair(better="c", than="d")}
    other = [{**row, "arm": {"a": "c", "b": "d"}[row["arm"]]} for row in shifted_by(-0.1, seed=1)]
    there, absent = estimated(claim, [*shifted_by(0.1), *other]), estimated(claim, shifted_by(0.1))
    first, second = map_figure([[("here", there), ("there", absent)]]).axes
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["a − b on TPR@1e-4", "c − d on TPR@1e-4"]
    for axes, color in ((first, COLORS["as claimed"]), (second, COLORS["against"])):
        assert color in {line.get_color() for line in axes.lines}
        assert "Arm 'c' of 's' was not asked for." in [text.get_text() for text in axes.texts]


def test_a_panel_of_ratios_has_round_ones_below_it() -> None:
    claim = {**WORTH, "kind": "cost_ratio", "metric": "cost.seconds"}
    one = estimated(claim, pairs("seconds", [10.0, 11.0, 10.5], [30.0, 31.0, 33.0]))
    figure = map_figure([[("here", one), ("there", one)]])
    figure.draw_without_rendering()
    (axes,) = figure.axes
    ticks = [*axes.get_xticklabels(), *axes.get_xticklabels(minor=True)]
    assert {"×1", "×2", "×3"} <= {text.get_text() for text in ticks}
    assert all(text.get_text().startswith("×") for text in ticks)
    low, high = axes.get_xlim()
    assert all(low <= value <= high for line in axes.lines for value in line.get_xdata())


def test_titles_of_long_names_end_within_the_page() -> None:
    first, second = "a-rather-long-name-of-an-arm", "another-rather-long-name-of-it"
    one = estimated({**WORTH, "metric": "shifted.tpr@1e-4"}, pairs("shifted.tpr@1e-4", [0.4, 0.5], [0.3, 0.3]))
    renamed = replace(one, contrast=one.contrast.model_copy(update={"better": first, "than": second}))
    figure = map_figure([[("samples = 48,000 and a long condition with more words", renamed)]])
    figure.draw_without_rendering()
    (axes,) = figure.axes
    (title,) = [text for text in axes.findobj(Text) if text.get_text() == axes.get_title(loc="left")]
    assert title.get_text().endswith("on TPR@1e-4, shifted captures")
    assert title.get_window_extent().x1 <= figure.bbox.x1


@pytest.mark.parametrize("small", [0.0107, 0.013, -0.05, 0.0134 - 123.0])
def test_ticks_do_not_run_into_one_another(small: float) -> None:
    one = estimated({**WORTH, "smallest_effect": 0.001}, pairs("tpr@1e-4", [0.0134, 0.0135], [small, small]))
    figure = map_figure([[("images = 48,000 and a long condition with more", one)]])
    figure.draw_without_rendering()
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    labels = [label for label in axes.get_xticklabels() if low <= label.get_position()[0] <= high]
    boxes = [label.get_window_extent().padded(4) for label in labels]
    assert len(boxes) >= 2
    assert not any(left.overlaps(right) for left, right in pairwise(boxes))
