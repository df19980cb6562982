from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.config import METRICS
from core.store import HEAD_COST, Store
from reports.cells import COLUMNS, Cell
from reports.frame import build_frame, curves, rocs
from reports.runs import number_at
from tests.reports.conftest import reseal


def row(frame: pd.DataFrame, study: str, arm: str, seed: int) -> pd.Series:
    found = frame[(frame["study"] == study) & (frame["arm"] == arm) & (frame["seed"] == seed)]
    assert len(found) == 1
    return found.iloc[0]


def test_one_row_a_cell_whatever_became_of_it(world: Any) -> None:
    frame = build_frame(world.cells, world.store)
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == len(world.cells)
    counts = frame["state"].value_counts().to_dict()
    assert counts == {"done": 16, "unavailable": 3, "failed": 1, "missing": 1}


def test_a_done_row_holds_the_numbers_of_its_result(world: Any) -> None:
    cell = world.cell("norm", "ln", 1)
    result = world.store.result(cell.key)
    found = row(build_frame(world.cells, world.store), "norm", "ln", 1)
    assert {name: found[name] for name in METRICS} == result["metrics"]
    assert found["validation tpr@1e-3"] == result["validation"]["tpr@1e-3"] != result["metrics"]["tpr@1e-3"]
    assert found["samples_per_second"] == result["cost"]["samples_per_second"]
    assert found["pairs@1e-4"] == pytest.approx(49.95)
    assert found["shifted.auroc"] == result["shifted"]["auroc"] < found["auroc"]
    assert (found["key"], found["device"], found["hardware"]) == (cell.key, "cpu", "AMD EPYC")
    assert found["judged_on"] == "procedural:ab12 1.0 5"
    assert found["precision_took_effect"] is False


def test_rows_without_a_result_say_why(world: Any) -> None:
    frame = build_frame(world.cells, world.store)
    assert row(frame, "norm", "bn", 2)["reason"] == "diverged: the loss is nan at step 412 of 1000"
    assert row(frame, "class-count", "x8", 1)["state"] == "missing"
    absent = row(frame, "norm", "ln_bn_imagenet", 0)
    assert "neither cached nor reachable" in absent["reason"]
    assert pd.isna(absent["key"])
    assert pd.isna(absent["tpr@1e-4"])


def test_a_run_that_nobody_asked_for_is_left_out_unless_it_is_there(tmp_path: Path) -> None:
    store, key, shared = Store(tmp_path), "0" * 16, "1" * 16
    cells = [Cell("s", "a", 0, key, asked=False), Cell("s", "b", 0, shared, asked=False), Cell("t", "b", 0, shared)]
    assert build_frame(cells, store)["state"].tolist() == ["left out", "missing", "missing"]  # t wants the second
    store.fail(key, "diverged", "x")
    assert build_frame(cells, store)["state"].tolist() == ["failed", "missing", "missing"]


def test_studies_that_share_a_baseline_show_the_same_run(world: Any) -> None:
    frame = build_frame(world.cells, world.store)
    ours, theirs = row(frame, "norm", "ln", 0), row(frame, "class-count", "x24", 0)
    assert ours["key"] == theirs["key"]
    assert ours["tpr@1e-4"] == theirs["tpr@1e-4"]


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 2}', "\x00", '{"schema": 1, "metrics": {"tpr@1e-4": 1}}'])
def test_a_damaged_result_is_one_damaged_row(world: Any, content: str) -> None:
    key = world.cell("norm", "bn", 0).key
    world.store.path(key, "result.json").write_text(content)
    frame = build_frame(world.cells, world.store)
    found = row(frame, "norm", "bn", 0)
    assert found["state"] == "damaged"
    assert key in found["reason"]
    assert (frame["state"] == "done").sum() == 15
    assert len(curves(world.cells, world.store)) == 15 * 4


@pytest.mark.parametrize("value", [None, "0.4", True])
def test_a_metric_that_is_no_number_makes_the_run_damaged(world: Any, value: Any) -> None:
    key = world.cell("norm", "bn", 0).key
    result = world.store.result(key)
    result["metrics"]["auroc"] = value
    reseal(world.store, key, result)
    found = row(build_frame(world.cells, world.store), "norm", "bn", 0)
    assert found["state"] == "damaged"
    assert "metrics.auroc" in found["reason"]


def test_a_cost_that_is_not_there_is_unknown_and_no_more(world: Any) -> None:
    key = world.cell("norm", "bn", 0).key
    result = world.store.result(key)
    del result["cost"], result["manipulation"]
    reseal(world.store, key, result)
    found = row(build_frame(world.cells, world.store), "norm", "bn", 0)
    assert found["state"] == "done"
    assert pd.isna(found["parameters"])


def test_a_key_that_is_none_of_the_store_is_damaged(world: Any) -> None:
    found = build_frame([Cell("s", "a", 0, "../../etc")], world.store).iloc[0]
    assert found["state"] == "damaged"


def test_two_cells_for_one_place_are_refused(world: Any) -> None:
    cell = world.cells[0]
    with pytest.raises(ValueError, match="2 cells"):
        build_frame([cell, cell], world.store)


def test_a_tuned_cell_stands_beside_the_other(world: Any) -> None:
    cell = world.cell("norm", "ln", 0)
    cells = [cell, replace(cell, key=world.cell("norm", "bn", 0).key, tuned=True)]
    for frame in (build_frame(cells, world.store), curves(cells, world.store), rocs(cells, world.store)):
        assert list(frame.columns[:4]) == ["study", "arm", "seed", "tuned"]
        assert sorted(set(frame["tuned"])) == [False, True]
    with pytest.raises(ValueError, match="2 cells"):
        build_frame([*cells, cells[1]], world.store)


def test_no_cells_and_no_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    assert build_frame([], store).empty
    assert curves([], store).empty
    assert rocs([], store).empty
    assert build_frame([Cell("s", "a", 0, "0" * 16)], store)["state"].tolist() == ["missing"]
    assert not (tmp_path / "none").exists()


def test_curves_are_the_logged_points(world: Any) -> None:
    frame = curves(world.cells, world.store)
    one = frame[(frame["study"] == "norm") & (frame["arm"] == "ln") & (frame["seed"] == 2)]
    logged = world.store.result(world.cell("norm", "ln", 2).key)["curve"]
    assert one["samples"].tolist() == [point["samples"] for point in logged]
    assert one["loss"].tolist() == [point["loss"] for point in logged]
    assert one["tpr@1e-3"].tolist() == [point["tpr@1e-3"] for point in logged]


def test_instability_is_the_spread_of_the_steps_in_the_second_half_of_training(world: Any) -> None:
    key = world.cell("norm", "ln", 0).key
    result = world.store.result(key)
    assert len(result["curve"]) == 4
    assert math.isnan(row(build_frame(world.cells, world.store), "norm", "ln", 0)["instability"])  # of a single step
    learnt = [0.1, 0.9, 0.2, 0.5, 0.58, 0.56, 0.66]  # the leaps at the start are none of it
    result["curve"] = [{**result["curve"][0], "samples": at, "tpr@1e-3": tpr} for at, tpr in enumerate(learnt)]
    reseal(world.store, key, result)
    found = row(build_frame(world.cells, world.store), "norm", "ln", 0)
    assert found["instability"] == pytest.approx(np.std([0.08, -0.02, 0.1], ddof=1))


def test_rocs_are_sorted_and_pass_through_the_metrics(world: Any) -> None:
    frame = rocs(world.cells, world.store)
    one = frame[(frame["study"] == "norm") & (frame["arm"] == "bn") & (frame["seed"] == 0)]
    assert (np.diff(one["fpr"]) > 0).all()
    expected = world.store.result(world.cell("norm", "bn", 0).key)["metrics"]["tpr@1e-3"]
    assert np.interp(1e-3, one["fpr"], one["tpr"]) == pytest.approx(expected, abs=0.01)
    assert frame.attrs["unreadable"] == {}


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "missing", "ragged"])
def test_damaged_scores_are_a_damaged_run_without_a_roc(world: Any, damage: str) -> None:
    key = world.cell("norm", "bn", 0).key
    path = world.store.path(key, "scores.npz")
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "missing":
        path.unlink()
    elif damage == "ragged":
        np.savez(path, roc_fpr=np.zeros(3), roc_tpr=np.zeros(4))
    else:
        path.write_bytes(b"" if damage == "empty" else b"not an archive")
    found = row(build_frame(world.cells, world.store), "norm", "bn", 0)
    assert found["state"] == "damaged"
    assert f"{path} is damaged (" in found["reason"]
    assert pd.isna(found["tpr@1e-4"])
    frame = rocs(world.cells, world.store)
    assert not ((frame["arm"] == "bn") & (frame["seed"] == 0)).any()
    assert ((frame["arm"] == "bn") & (frame["seed"] == 1)).any()


@pytest.mark.parametrize(
    ("path", "expected"), [("a.b", 2.0), ("a", None), ("a.b.c", None), ("x", None), ("flag", None), ("big", None)]
)
def test_number_at(path: str, expected: float | None) -> None:
    found = number_at({"a": {"b": 2}, "flag": True, "big": float("inf")}, path)
    assert np.isnan(found) if expected is None else found == expected


def test_reports_need_neither_torch_nor_the_command_line() -> None:
    code = (
        "import sys, reports.pages, reports.plots; "
        "print([m for m in ('torch', 'ablations', 'matplotlib') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_a_turn_of_the_heads_timing_stands_for_one_seed(world: Any) -> None:
    kept = {"turns": {"0.3": [20.0, 21.0], "1": [60.0, 61.0]}, "environment": {"device": "cpu"}}
    (world.store.root / HEAD_COST).write_text(json.dumps(kept))
    frame = build_frame(world.cells, world.store)
    rows = frame[(frame["study"] == "norm") & (frame["arm"] == "ln")].set_index("seed")
    assert rows["head_step"].tolist()[:2] == [20.0, 21.0]  # the baseline's rate is 0.3
    assert math.isnan(rows.loc[2, "head_step"])
    later = [replace(cell, seed=cell.seed + 10) for cell in world.cells]  # on other seeds the turns are as good
    rows = build_frame(later, world.store).groupby("seed")["head_step"].max()
    assert rows.loc[[10, 11]].tolist() == [20.0, 21.0]
    elsewhere = json.dumps({**kept, "environment": {"device": "cuda"}})  # no step of what these runs are trained on
    for damage in ("{", '{"turns": {"0.3": [0]}}', '{"turns": 3}', "{}", elsewhere):
        (world.store.root / HEAD_COST).write_text(damage)
        assert build_frame(world.cells, world.store)["head_step"].isna().all()


@pytest.mark.parametrize("value", [10**400, -(10**400), float("inf"), True, "1", None, [1]])
def test_what_is_no_finite_number_is_nan(value: Any) -> None:
    assert math.isnan(number_at({"a": {"b": value}}, "a.b"))
