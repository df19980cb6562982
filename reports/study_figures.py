"""Which figures a study's page has, with their captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from core.support import ENOUGH_PAIRS
from reports.claims import Study
from reports.contrast_plots import contrasts_figure
from reports.cost_plots import cost_figure
from reports.curve_plots import curves_figure, roc_figure, roc_rates
from reports.estimates import Estimate
from reports.material import Material
from reports.metrics import metric_name, primary_metric
from reports.plots import arms_figure, ladder_figure
from reports.runs import number_at

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

Maker = tuple[str, str, str, Callable[[], "Drawing"]]


def study_figures(study: Study, rows: pd.DataFrame, estimates: Sequence[Estimate], material: Material) -> list[Maker]:
    """Kind, caption, alternative text and maker of every figure of a study, in the order of the page."""
    metric, _ = primary_metric(study, rows)
    shown = metric_name(metric)
    found: list[Maker] = []
    if estimates:
        caption = (
            "Every contrast with its 95 % interval over seeds and, where the metric allows, test identities. The "
            "coloured tick is the smallest effect worth having, or the largest loss that is allowed; an arrow is an "
            "interval that goes on beyond the axis; hollow marks do not decide: on grey ones no verdict depends, dark "
            "ones a gate forbids to judge. Of an interaction both differences are drawn."
        )
        found.append(("contrasts", caption, "contrasts with intervals", lambda: contrasts_figure(estimates)))
    caption = (
        f"{shown} of every arm. Point: one seed; grey line: the same seed in the next arm; bar: mean over seeds; "
        "dotted line: the baseline's mean."
    )
    found.append(("arms", caption, f"{shown} of every arm and seed", lambda: arms_figure(study, rows, metric)))
    if study.x_axis is not None:
        x = _x_values(rows, study.x_axis, material)
        caption = f"{shown} against {x.name}. Point: one seed; bar: mean over seeds."
        alt = f"{shown} against {x.name}"
        found.append(("ladder", caption, alt, lambda: ladder_figure(study, rows, x, metric)))
    rates = roc_rates(rows)
    caption = "ROC on test identities. Line: mean over seeds; band: from the lowest seed to the highest."
    if rates.readable > rates.start:
        caption += (
            f" It begins no lower than where one of the test set's pairs of identities is expected to be a false "
            f"positive; on grey fewer than {ENOUGH_PAIRS} are, too few to read it."
        )
    found.append(("roc", caption, "ROC curves", lambda: roc_figure(study, material.rocs, rates)))
    caption = "Loss and validation over training. Line: mean over seeds; band: from the lowest seed to the highest."
    found.append(("curves", caption, "learning curves", lambda: curves_figure(study, material.curves)))
    caption = f"What {shown} costs. Marker: mean over seeds; bars: one standard deviation over seeds."
    found.append(("cost", caption, f"{shown} against cost", lambda: cost_figure(study, rows, metric)))
    return found


def _x_values(rows: pd.DataFrame, path: str, material: Material) -> pd.Series:
    """The number at a dotted path of each row's result, nan where there is none."""
    name = metric_name(path.removeprefix("cost.").removeprefix("config."))
    values = [number_at(material.results.get(key, {}), path) for key in rows["key"]]
    return pd.Series(values, index=rows.index, name=name, dtype=float)
