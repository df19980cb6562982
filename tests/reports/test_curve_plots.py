from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reports.curve_plots import _FPR_GRID, _on_grid, curves_figure, roc_figure, roc_rates
from tests.reports.test_plots import study_with


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


def rows_of(identities: float) -> pd.DataFrame:
    return pd.DataFrame({"identities": [identities + 5, identities]})


@pytest.mark.parametrize(
    ("identities", "start", "readable"),
    [(24, 1 / 276, 30 / 276), (82, 1 / 3321, 30 / 3321), (1000, 1e-5, 30 / 499500), (6000, 1e-5, 1e-5)],
)
def test_the_roc_begins_where_a_false_positive_is_expected(identities: int, start: float, readable: float) -> None:
    rates = roc_rates(rows_of(identities))
    assert (rates.start, rates.readable) == pytest.approx((start, readable))
    points = pd.DataFrame([
        {"study": "s", "arm": "arm0", "seed": 0, "fpr": fpr, "tpr": tpr} for fpr, tpr in ((1e-6, 0.2), (1.0, 0.7))
    ])  # fmt: skip
    (axes,) = roc_figure(study_with(2), points, rates).axes
    assert axes.get_xlim() == pytest.approx((start, 1))
    assert min(axes.lines[0].get_xdata()) >= start
    assert all(start <= tick <= 1 for tick in axes.get_xticks())
    shaded = [patch.get_extents().transformed(axes.transData.inverted()) for patch in axes.patches]
    assert [(box.x0, box.x1) for box in shaded] == ([pytest.approx((start, readable))] if readable > start else [])


def test_where_no_result_tells_how_many_identities_the_whole_roc_is_drawn() -> None:
    rates = roc_rates(pd.DataFrame({"identities": [float("nan")]}))
    assert (rates.start, rates.readable) == (1e-5, 1e-5)


def test_learning_curves_have_the_mean_over_seeds_in_their_range() -> None:
    rows = [
        {"study": "s", "arm": "arm0", "seed": seed, "samples": samples, "loss": 10.0 + seed, "tpr@1e-3": 0.1 * seed}
        for seed in (0, 1, 5)
        for samples in (100, 200)
    ]
    loss, metric = curves_figure(study_with(2), pd.DataFrame(rows)).axes
    assert loss.lines[0].get_xydata().tolist() == [[100, 12], [200, 12]]
    heights = metric.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (pytest.approx(0), pytest.approx(0.5))
