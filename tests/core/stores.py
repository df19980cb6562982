"""Small stores as a trainer leaves them, of this version and of the one before checksums; and what must be equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from core.config import METRICS, RunConfig
from core.store import Store

TIMINGS = ("seconds", "train_seconds", "samples_per_second", "peak_memory_mb", "time_share", "resumed")  # of the cost
INPUTS = {"train": "procedural:ab12", "test": "procedural:ab12", "pretrained": "none", "teacher": "none"}


def result_of(config: RunConfig, level: float = 0.5) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A result with all that the trainer writes, and its scores."""
    metrics = {name: level + place / 100 for place, name in enumerate(METRICS)}
    curve = [{"samples": 64 * point, "seconds": 0.5, "loss": 30.125 / point, "lr": 1e-3, **metrics} for point in (1, 2)]
    result = {
        "key": config.key(INPUTS), "seed": config.seed, "config": config.model_dump(mode="json"), "metrics": metrics,
        "validation": metrics, "untrained": metrics, "shifted": metrics,
        "cost": {"seconds": 1.5, "samples": 128, "samples_per_second": 90.0, "parameters": 1000, "classes": 24},
        "curve": curve, "test": {"identities": 100}, "manipulation": {"precision": {"mode": "highest"}},
        "inputs": INPUTS, "data": {"train": "24 documents"}, "environment": {"device": "cpu", "code": "c0ffee123456"},
    }  # fmt: skip
    fpr = np.linspace(0, 1, 50, dtype=np.float32)
    return result, {"roc_fpr": fpr, "roc_tpr": np.sqrt(fpr) * np.float32(level)}


def add_run(store: Store, seed: int = 0, **overrides: Any) -> str:
    """A done run; returns its key."""
    config = RunConfig().with_overrides({**overrides, "seed": seed})
    result, scores = result_of(config, 0.5 + seed / 100)
    key: str = result["key"]
    store.begin(key, config.to_yaml())
    store.log(key, result["curve"])
    store.finish(key, result, scores)
    return key


def add_run_of_schema_1(root: Path, seed: int = 0) -> str:
    """A done run as versions before checksums wrote it."""
    config = RunConfig().with_overrides({"seed": seed})
    result, scores = result_of(config, 0.5 + seed / 100)
    folder = root / result["key"]
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config.to_yaml())
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in result["curve"]))
    np.savez_compressed(folder / "scores.npz", **scores)  # type: ignore[arg-type]
    (folder / "result.json").write_text(json.dumps({"schema": 1, **result}, indent=1))
    return folder.name


def equal_part(store: Store, key: str) -> dict[str, Any]:
    """All of a done run that must be equal to the bit, however often it was stopped: what timings have no part in."""
    result = store.result(key)
    del result["checksum"], result["files"]  # over the timings, too
    result["cost"] = {name: value for name, value in result["cost"].items() if name not in TIMINGS}
    result["curve"] = _without_seconds(result["curve"])
    scores = {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in store.scores(key).items()}
    return {**result, "scores": scores}


def logged(store: Store, key: str) -> list[dict[str, float]]:
    """What metrics.jsonl says of the curve, without its timings."""
    return _without_seconds([json.loads(line) for line in store.path(key, "metrics.jsonl").read_text().splitlines()])


def _without_seconds(curve: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in point.items() if name != "seconds"} for point in curve]
