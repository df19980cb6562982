"""Tables of one study, from its frame."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from core.config import METRICS
from core.csv_cells import inert
from core.store import write_atomic
from core.support import ENOUGH_PAIRS
from reports.cells import IN_MEMORY, SHIFTED, STATES
from reports.claims import Arm, Scaled, Study
from reports.gates import undeclared_fields
from reports.markdown import NONE, code, escape, number, spread
from reports.metrics import decimals, few_expected, metric_name, primary_metric, told_interval
from reports.page import Table
from reports.stats import paired_interval

_COSTS = {  # column: (heading, decimals)
    "parameters": ("parameters", 0),
    "size_mb": ("size (MB)", 2),
    "flops_g": ("GFLOPs", 4),
    "classes": ("classes", 0),
    "samples": ("samples seen", 0),
    "samples_per_second": ("samples/s", 0),
    "peak_memory_mb": ("peak memory (MB)", 0),
    "seconds": ("seconds", 1),
}
_INDUCED = ("parameters", "flops_g", "classes", "images", "samples")


def arm_name(study: Study, arm: str) -> str:
    """The arm as the first cell of a row; the baseline is bold."""
    return f"**{code(arm)}** (baseline)" if arm == study.baseline else code(arm)


def rows_of(frame: pd.DataFrame, study: Study, arm: str) -> pd.DataFrame:
    return frame[(frame["study"] == study.study) & (frame["arm"] == arm)]


def done_of(frame: pd.DataFrame, study: Study, arm: str) -> pd.DataFrame:
    rows = rows_of(frame, study, arm)
    return rows[rows["state"] == "done"]


def seed_count(rows: pd.DataFrame) -> str:
    """How many seeds are done, and what became of the others, e.g. ``2 (1 failed)``."""
    counts = rows["state"].value_counts()
    others = [f"{counts[state]} {state}" for state in STATES if state != "done" and state in counts]
    return f"{counts.get('done', 0)}" + (f" ({', '.join(others)})" if others else "")


def machines(done: pd.DataFrame) -> list[str]:
    """The devices that runs were trained on, each once, with their hardware: times of several cannot be compared."""
    pairs = done[["device", "hardware"]].drop_duplicates().to_numpy()
    return [" on ".join(str(one) for one in pair if not pd.isna(one)) for pair in pairs]


def published_cell(arm: Arm) -> str:
    """The record's TPR for an arm, with the version that it is from."""
    shown = []
    for where in arm.published:
        value = where.values().get("tpr")
        if isinstance(value, int | float):
            shown.append(f"{value:.3f} ({escape(where.table.replace('_', ' '))})")
    return ", ".join(shown) or NONE


def arm_table(study: Study, frame: pd.DataFrame) -> Table:
    """Metrics of every arm as mean ± SD over seeds, its difference to the baseline, and what is published of any.

    Rates that the test set is too small for are in parentheses, of which `weak_note` tells.
    """
    primary, _ = primary_metric(study, frame)
    name = metric_name(primary)
    shown = list(METRICS)
    if primary in SHIFTED and frame[SHIFTED[primary]].notna().any():
        shown.append(SHIFTED[primary])
    header = ["arm", "seeds", *(metric_name(metric) for metric in shown), f"{name}, difference to the baseline"]
    theirs = {arm: published_cell(declared) for arm, declared in study.arms.items()}
    of_record = any(cell != NONE for cell in theirs.values())
    header += ["published TPR@1e-4"] if of_record else []
    rows = []
    weak = _weak((*shown, primary), study, frame)
    for arm, published in theirs.items():
        done = done_of(frame, study, arm)
        spreads = {metric: spread(done[metric].tolist(), decimals(metric)) for metric in shown}
        metrics = [_marked(told, metric in weak) for metric, told in spreads.items()]
        seeds = seed_count(rows_of(frame, study, arm))
        difference = _marked(difference_cell(study, frame, arm, primary), primary in weak)
        rows.append([arm_name(study, arm), seeds, *metrics, difference, *([published] if of_record else [])])
    return Table.of("arms", "Metrics of every arm", header, rows, right=range(2, 2 + len(shown)))


def _marked(cell: str, weak: bool) -> str:
    return f"({cell})" if weak and cell != NONE else cell


def _weak(metrics: Iterable[str], study: Study, frame: pd.DataFrame) -> dict[str, float]:
    """Those that a study's test set is too small for, each with how many false positives are expected."""
    rows = frame[frame["study"] == study.study]
    return {metric: count for metric in metrics if (count := few_expected(metric, rows)) is not None}


def weak_note(study: Study, frame: pd.DataFrame) -> str:
    """What the parentheses in a study's table of arms mean; empty where there are none."""
    weak = _weak(METRICS, study, frame)
    if not weak:
        return ""
    told = ", ".join(f"{count:.1f} at FPR {name.split('@')[1]}" for name, count in weak.items())
    return (
        f"Numbers in parentheses may not be read: a rate takes {ENOUGH_PAIRS} expected false positives among the test "
        f"set's pairs of identities, and it has {told}."
    )


def difference_cell(study: Study, frame: pd.DataFrame, arm: str, metric: str) -> str:
    """Arm minus baseline over the seeds that both have, and what the baseline is there where it has others as well."""
    if arm == study.baseline:
        return NONE
    values, baseline = (done_of(frame, study, name).set_index("seed")[metric] for name in (arm, study.baseline))
    seeds = sorted(set(values.index) & set(baseline.index))
    if not seeds:
        return NONE
    shared = baseline.loc[seeds]
    told = told_interval(paired_interval(values.loc[seeds].to_numpy(), shared.to_numpy()), metric)
    if len(seeds) == len(baseline):
        return told
    return (
        f"{told}; of {len(seeds)} seeds, with which the baseline has {number(float(shared.mean()), decimals(metric))}"
    )


def cost_table(study: Study, frame: pd.DataFrame) -> Table:
    """What every arm costs, as means over seeds."""
    rows = []
    for arm in study.arms:
        done = done_of(frame, study, arm)
        means = [number(float(done[column].mean()), digits) for column, (_, digits) in _COSTS.items()]
        rows.append([arm_name(study, arm), *means])
    header = ["arm", *(heading for heading, _ in _COSTS.values())]
    return Table.of("cost", "Cost of every arm", header, rows, right=range(1, 1 + len(_COSTS)))


def difference_table(study: Study, frame: pd.DataFrame) -> Table:
    """What every arm changes, what that brings with it, and any other difference in configuration."""
    base = done_of(frame, study, study.baseline)
    base_config = _config(base)
    rows = []
    for arm, declared in study.arms.items():
        done = done_of(frame, study, arm)
        config = _config(done)
        changed = ", ".join(_change(field, value, config) for field, value in declared.set.items()) or NONE
        induced = _induced(done, base) if arm != study.baseline else NONE
        about = escape(declared.about) or NONE
        others = _undeclared(config, base_config, {*declared.set, *study.arms[study.baseline].set})
        rows.append([arm_name(study, arm), about, changed, induced, others])
    header = ["arm", "about", "changed fields", "brought with it", "other differences"]
    return Table.of("differences", "What differs between arms", header, rows)


def _config(done: pd.DataFrame) -> dict[str, Any]:
    """The dotted configuration of an arm's first done run; empty without one."""
    config = done["config"].iloc[0] if len(done) else None
    return config if isinstance(config, dict) else {}


def _change(field: str, value: Any, config: Mapping[str, Any]) -> str:
    if field in config:
        return code(f"{field}={config[field]}")
    if isinstance(value, Mapping):
        return code(f"{field} = {Scaled.model_validate(value).scale:g} of the preset's")
    return code(f"{field}={value}")


def _induced(done: pd.DataFrame, base: pd.DataFrame) -> str:
    if done.empty or base.empty:
        return NONE
    shown = []
    for column in _INDUCED:
        ours, theirs = float(done[column].mean()), float(base[column].mean())
        if not math.isnan(ours + theirs) and abs(ours - theirs) > 1e-9 * abs(theirs):
            digits = 4 if column == "flops_g" else 0
            shown.append(f"{escape(column)} {number(theirs, digits)} → {number(ours, digits)}")
    return ", ".join(shown) or NONE


def _undeclared(config: Mapping[str, Any], base: Mapping[str, Any], declared: Collection[str]) -> str:
    if not config or not base:
        return NONE
    names = undeclared_fields(config, base, declared)
    return ", ".join(code(f"{name}: {base.get(name)} → {config.get(name)}") for name in names) or NONE


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """The tidy rows, one a cell, as CSV in UTF-8; raises `core.errors.RunFailure` when it cannot be written."""
    rows = frame.drop(columns=list(IN_MEMORY), errors="ignore")
    rows = rows.map(lambda cell: inert(cell) if isinstance(cell, str) else cell)
    write_atomic(path, rows.to_csv(index=False).encode(errors="replace"))
