from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reports.claims import Arm, Study
from reports.cost_plots import cost_figure
from tests.reports.test_plots import study_with, words


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
    _, bars = cost_figure(study_with(2), costs(2, size=False)).axes[0].containers
    (point,) = bars.lines[0].get_xydata()
    np.testing.assert_allclose(point, [61, 0.36])
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
