"""Runs -> tidy tables: one row a cell, whatever became of its run."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from core.config import FPRS, METRICS
from core.config_sections import device_kind
from core.store import Store
from core.support import expected_pairs, fpr_name
from reports.cells import (
    COLUMNS,
    COSTS,
    HEAD_STEP,
    OVERFLOWED,
    PLACE,
    SHIFTED,
    SKIPPED,
    TEACHER,
    UNTRAINED,
    VALIDATION,
    Cell,
)
from reports.head_turns import head_turns
from reports.runs import Read, number_at, read_runs


def build_frame(cells: Sequence[Cell], store: Store) -> pd.DataFrame:
    """One row a cell, in the order of the cells, with the columns `COLUMNS`.

    Metrics are of the test identities, as rates; costs are in seconds, MB (10^6 bytes) and GFLOPs. Numbers of
    cells without a done run are nan. `pairs@F` is the number of identity pairs expected beyond the
    threshold of FPR F; `shifted.M` is metric M on shifted captures, nan where the run was not judged on them.
    `instability` is the standard deviation of the steps of validation TPR@1e-3 between the points of the second half of
    training. `head_step` is the time in ms of a step of the class head at the run's sample rate and the record's number
    of classes, on the run's kind of device: the first turn of `python -m ablations cost` for the lowest seed, and so
    on; nan where none is left.
    `loss_plateau` is `core.loss.margin.plateau_loss`; `config` the dotted fields of the run, as a mapping;
    `judged_on` what stands for the captures that it was judged on; `alike` is the cell's, nan where it is not known.

    Raises:
        ValueError: two cells for one study, arm, seed and tuning: pairs over seeds would be ambiguous.
    """
    for place, count in Counter((cell.study, cell.arm, cell.seed, cell.tuned) for cell in cells).items():
        if count > 1:
            raise ValueError(f"{count} cells for study, arm, seed, tuned {place}: give one")
    reads, timed = read_runs(cells, store), dict[str, dict[float, list[float]]]()
    turns = {seed: turn for turn, seed in enumerate(sorted({cell.seed for cell in cells}))}
    rows = []
    for cell in cells:
        read = Read("unavailable", cell.reason) if cell.key is None else reads[cell.key]
        row = {**_place(cell), "key": cell.key, "state": read.state, "reason": read.reason}
        row |= _numbers(read.result or {})
        if (kind := str(row["device"])) not in timed:
            timed[kind] = head_turns(store, kind)
        # A turn stands for no more than one seed: seeds beyond the last turn have none.
        seen, turn = timed[kind].get(row["config"].get("loss.sample_rate"), ()), turns[cell.seed]
        row["alike"] = math.nan if cell.alike is None else cell.alike
        rows.append({**row, HEAD_STEP: seen[turn] if turn < len(seen) else math.nan})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _place(cell: Cell) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in PLACE}


def _numbers(result: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {name: number_at(result, f"metrics.{name}") for name in METRICS}
    row |= {column: number_at(result, column) for column in SHIFTED.values()}
    row[VALIDATION] = number_at(result, "validation.tpr@1e-3")
    row[UNTRAINED] = number_at(result, "untrained.tpr@1e-3")
    row |= {name: number_at(result, f"cost.{name}") for name in COSTS}
    row[OVERFLOWED] = _share_of_steps(result, "cost.overflow_steps")
    row[SKIPPED] = _share_of_steps(result, "cost.skipped_steps")
    row |= _training(result)
    environment = _section(result, "environment")
    device = environment.get("device")
    row["device"] = device_kind(device) if isinstance(device, str) else device
    row["hardware"] = environment.get("hardware") or environment.get("cpu")
    row["identities"] = number_at(result, "test.identities")
    row["judged_on"] = _judged_on(_section(result, "inputs"), row["config"])
    row |= {f"pairs@{fpr_name(fpr)}": expected_pairs(row["identities"], fpr) for fpr in FPRS}
    row |= {column: number_at(result, f"manipulation.{column}") for column in TEACHER.values()}
    precision = _section(_section(result, "manipulation"), "precision")
    row["precision"] = precision.get("mode")
    row["precision_error"] = number_at(precision, "linear_error")
    row["precision_reference"] = number_at(precision, "reference_error")
    row["precision_took_effect"] = precision.get("took_effect")
    return row


def _judged_on(inputs: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """What stands for the captures of the test: of which images, and how they are simulated."""
    told = [inputs.get("test"), *(config.get(f"eval.{name}") for name in ("severity", "captures"))]
    return None if told[0] is None else " ".join(map(str, told))


def _share_of_steps(result: Mapping[str, Any], counted: str) -> float:
    steps, batch = number_at(result, counted), number_at(result, "config.optim.batch_size")
    samples = number_at(result, "cost.samples")
    return steps * batch / samples if samples > 0 else math.nan


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
    return pd.DataFrame(rows, columns=[*PLACE, *names])


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
    columns = [*PLACE, "fpr", "tpr"]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    frame.attrs["unreadable"] = unreadable
    return frame


def _roc(scores: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    fpr, tpr = np.asarray(scores["roc_fpr"], float), np.asarray(scores["roc_tpr"], float)
    if fpr.ndim != 1 or fpr.shape != tpr.shape or not fpr.size or not np.isfinite([fpr, tpr]).all():
        raise ValueError(f"roc_fpr {fpr.shape} and roc_tpr {tpr.shape} are not two finite rows of one length")
    order = np.argsort(fpr, kind="stable")
    return fpr[order], tpr[order]
