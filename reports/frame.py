"""Runs -> tidy tables: one row a cell, whatever became of its run."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from core.config import FPRS, METRICS
from core.errors import UserError
from core.integrity import examine
from core.store import Store
from core.support import expected_pairs, fpr_name
from reports.head_turns import head_turns

HEAD_STEP = "head_step"
COSTS = (
    "seconds", "samples", "samples_per_second", "peak_memory_mb",
    "parameters", "size_mb", "flops_g", "classes", "images", "instability", HEAD_STEP,
)  # fmt: skip
LOSSES = ("loss_start", "loss_end", "loss_plateau")
VALIDATION = "validation tpr@1e-3"
UNTRAINED = "untrained tpr@1e-3"  # on validation identities too
# TPR columns and where the frame says how many independent false positives their FPR is expected to give.
PAIRS = {f"tpr@{fpr_name(fpr)}": f"pairs@{fpr_name(fpr)}" for fpr in FPRS}
SHIFTED = {name: f"shifted.{name}" for name in METRICS}  # the same metrics on shifted captures
TEACHER = {name: f"teacher.{name}" for name in METRICS}  # of the teacher's own features, on the test captures
READABLE = (*METRICS, *SHIFTED.values(), *COSTS)  # that a contrast can be on
_PRECISION = ("precision", "precision_error", "precision_reference", "precision_took_effect")
_PLACE = ("study", "arm", "seed", "tuned")  # of a cell, in every frame
COLUMNS = (
    *_PLACE, "key", "state", "reason", *METRICS, *SHIFTED.values(), VALIDATION, UNTRAINED, *COSTS, *LOSSES,
    "device", "hardware", "identities", *PAIRS.values(), *TEACHER.values(), *_PRECISION, "config",
)  # fmt: skip
LEFT_OUT = "left out"  # of runs that nobody asked for, as no verdict rests on their arms
STATES = ("done", "failed", "missing", LEFT_OUT, "unavailable", "damaged", "newer")


@dataclass(frozen=True)
class Cell:
    """One arm with one seed of a study.

    Args:
        key: of the run that fills the cell; None where the arm is unavailable.
        reason: why it is unavailable.
        tuned: whether the run has the values that tuning chose for the arm, in place of the preset's.
        asked: whether `run` with the options of the report trains it; if not, it is shown where it is there.
    """

    study: str
    arm: str
    seed: int
    key: str | None
    reason: str = ""
    tuned: bool = False
    asked: bool = True


@dataclass(frozen=True)
class Read:
    """What the store says of one key; `result` is there for done runs only."""

    state: str
    reason: str = ""
    result: dict[str, Any] | None = None


def number_at(values: Any, path: str) -> float:
    """The finite number at a dotted path of nested mappings, e.g. ``cost.classes``; nan where there is none."""
    for name in path.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    if isinstance(values, bool) or not isinstance(values, int | float):
        return math.nan
    try:
        return float(values) if math.isfinite(values) else math.nan
    except OverflowError:  # a whole number of more digits than a float holds
        return math.nan


def read_run(key: str, store: Store) -> Read:
    """The state of a run, its files held to what was written.

    A run with a file that is not as it was is ``damaged``, one of a later version ``newer``; both count as not there.
    The reason names the file. Never an exception.
    """
    try:
        found = examine(store, key, digests=True)
    except UserError as error:
        return Read("damaged", str(error))
    if found.condition == "new":
        return Read("missing", "not run yet")
    return Read(found.condition, found.reason, found.result)


def read_runs(cells: Iterable[Cell], store: Store) -> dict[str, Read]:
    """Every key of the cells, each read once: cells of several studies may share a run.

    A run that is not there and that none of its cells asks for is ``left out``, not ``missing``.
    """
    asked: dict[str, bool] = {}
    for cell in cells:
        if cell.key is not None:
            asked[cell.key] = asked.get(cell.key, False) or cell.asked
    reads = {key: read_run(key, store) for key in asked}
    left_out = Read(LEFT_OUT, "no verdict rests on it, and it was not asked for")
    return {key: read if asked[key] or read.state != "missing" else left_out for key, read in reads.items()}


def results(cells: Iterable[Cell], store: Store) -> dict[str, dict[str, Any]]:
    """The results of the done runs, by key."""
    return {key: read.result for key, read in read_runs(cells, store).items() if read.result is not None}


def build_frame(cells: Sequence[Cell], store: Store) -> pd.DataFrame:
    """One row a cell, in the order of the cells, with the columns `COLUMNS`.

    Metrics are of the test identities, as rates; costs are in seconds, MB (10^6 bytes) and GFLOPs. Numbers of
    cells without a done run are nan. `pairs@F` is the number of identity pairs expected beyond the
    threshold of FPR F; `shifted.M` is metric M on shifted captures, nan where the run was not judged on them.
    `instability` is the standard deviation of the steps of validation TPR@1e-3 between the points of the second half of
    training. `head_step` is the time in ms of a step of the class head at the run's sample rate and the record's number
    of classes, in the turn of `python -m ablations cost` that has the seed's number; nan where it was not measured.
    `loss_plateau` is `core.loss.margin.plateau_loss`; `config` the dotted fields of the run, as a mapping.

    Raises:
        ValueError: two cells for one study, arm, seed and tuning: pairs over seeds would be ambiguous.
    """
    for place, count in Counter((cell.study, cell.arm, cell.seed, cell.tuned) for cell in cells).items():
        if count > 1:
            raise ValueError(f"{count} cells for study, arm, seed, tuned {place}: give one")
    reads, timed = read_runs(cells, store), head_turns(store)
    rows = []
    for cell in cells:
        read = Read("unavailable", cell.reason) if cell.key is None else reads[cell.key]
        row = {**_place(cell), "key": cell.key, "state": read.state, "reason": read.reason}
        row |= _numbers(read.result or {})
        # A turn stands for no more than one seed: seeds beyond the last turn have none.
        seen = timed.get(row["config"].get("loss.sample_rate"), ())
        rows.append({**row, HEAD_STEP: seen[cell.seed] if cell.seed < len(seen) else math.nan})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _place(cell: Cell) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in _PLACE}


def _numbers(result: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {name: number_at(result, f"metrics.{name}") for name in METRICS}
    row |= {column: number_at(result, column) for column in SHIFTED.values()}
    row[VALIDATION] = number_at(result, "validation.tpr@1e-3")
    row[UNTRAINED] = number_at(result, "untrained.tpr@1e-3")
    row |= {name: number_at(result, f"cost.{name}") for name in COSTS}
    row |= _training(result)
    environment = _section(result, "environment")
    row["device"] = environment.get("device")
    row["hardware"] = environment.get("hardware") or environment.get("cpu")
    row["identities"] = number_at(result, "test.identities")
    row |= {f"pairs@{fpr_name(fpr)}": expected_pairs(row["identities"], fpr) for fpr in FPRS}
    row |= {column: number_at(result, f"manipulation.{column}") for column in TEACHER.values()}
    precision = _section(_section(result, "manipulation"), "precision")
    row["precision"] = precision.get("mode")
    row["precision_error"] = number_at(precision, "linear_error")
    row["precision_reference"] = number_at(precision, "reference_error")
    row["precision_took_effect"] = precision.get("took_effect")
    return row


def _training(result: Mapping[str, Any]) -> dict[str, Any]:
    """How training went: first and last loss, the plateau that it has to leave, instability, configuration."""
    curve = result.get("curve")
    points = curve if isinstance(curve, list) else []
    losses = [number_at(point, "loss") for point in points]
    steps = np.diff([number_at(point, "tpr@1e-3") for point in points[len(points) // 2 :]])
    config = {
        f"{section}.{name}": value
        for section, fields in _section(result, "config").items()
        if isinstance(fields, Mapping) and section != "runtime"
        for name, value in fields.items()
    }
    return {
        "loss_start": losses[0] if losses else math.nan,
        "loss_end": losses[-1] if losses else math.nan,
        "loss_plateau": _plateau(config),
        "instability": float(np.std(steps, ddof=1)) if len(steps) > 1 else math.nan,
        "config": config,
    }


def _plateau(config: Mapping[str, Any]) -> float:
    from core.loss.margin import plateau_loss  # torch takes seconds to import, and a report without runs needs none

    try:
        classes = config["data.images"] * config["data.expansion"]
        sampled = max(1, int(classes * config["loss.sample_rate"]))
        return plateau_loss(config["loss.kind"], config["loss.scale"], config["loss.margin"], sampled)
    except (KeyError, TypeError, ValueError):
        return math.nan


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = values.get(name)
    return section if isinstance(section, Mapping) else {}


def curves(cells: Sequence[Cell], store: Store) -> pd.DataFrame:
    """Learning curves of the done runs: place, samples, loss and the metrics on validation identities."""
    reads = read_runs(cells, store)
    names = ("samples", "loss", *METRICS)
    rows = []
    for cell in cells:
        result = reads[cell.key].result if cell.key is not None else None
        points = result.get("curve") if result is not None else None
        for point in points if isinstance(points, list) else []:
            numbers = {name: number_at(point, name) for name in names}
            rows.append({**_place(cell), **numbers})
    return pd.DataFrame(rows, columns=[*_PLACE, *names])


def rocs(cells: Sequence[Cell], store: Store) -> pd.DataFrame:
    """ROC points of the done runs: place, fpr, tpr, in the order of the FPR.

    `frame.attrs["unreadable"]` maps the keys of done runs whose scores cannot be used to the reason.
    """
    reads = read_runs(cells, store)
    parts, unreadable = [], {}
    kept: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for key, read in reads.items():
        if read.state == "done":
            try:
                kept[key] = _roc(store.scores(key, ("roc_fpr", "roc_tpr")))
            except (ValueError, KeyError, OSError, EOFError, BadZipFile, zlib.error) as error:
                unreadable[key] = f"scores.npz cannot be used ({error})"
    for cell in cells:
        if cell.key in kept:
            fpr, tpr = kept[cell.key]
            parts.append(pd.DataFrame({**_place(cell), "fpr": fpr, "tpr": tpr}))
    columns = [*_PLACE, "fpr", "tpr"]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    frame.attrs["unreadable"] = unreadable
    return frame


def _roc(scores: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    fpr, tpr = np.asarray(scores["roc_fpr"], float), np.asarray(scores["roc_tpr"], float)
    if fpr.ndim != 1 or fpr.shape != tpr.shape or not fpr.size or not np.isfinite([fpr, tpr]).all():
        raise ValueError(f"roc_fpr {fpr.shape} and roc_tpr {tpr.shape} are not two finite rows of one length")
    order = np.argsort(fpr, kind="stable")
    return fpr[order], tpr[order]
