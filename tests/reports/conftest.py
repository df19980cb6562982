"""A synthetic store: two studies, three seeds, a failed run, a missing one, an arm that cannot be had."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from core import record
from core.config import RunConfig
from core.store import RESULT_SCHEMA, Store
from reports import provenance_check
from reports.cells import Cell
from reports.claims import Arm, Published, Study
from reports.contrasts import Contrast
from reports.control import control_study
from reports.pages import write_report
from reports.provenance_check import Check, verify

SEEDS = (0, 1, 2)
_LEVEL = {"ln": 3.9, "bn": 3.6, "ln_bn": 4.1, "x1": 3.0, "x8": 3.5}


@dataclass(frozen=True)
class World:
    """Everything that a report is made from."""

    studies: tuple[Study, ...]
    cells: tuple[Cell, ...]
    store: Store

    def cell(self, study: str, arm: str, seed: int) -> Cell:
        return next(cell for cell in self.cells if (cell.study, cell.arm, cell.seed) == (study, arm, seed))


def result_of(config: RunConfig, key: str, separation: float, rng: np.random.Generator) -> tuple[dict[str, Any], dict]:
    """A result as the trainer writes it, of unit-variance scores `separation` apart."""
    names = {"tpr@1e-4": 1e-4, "tpr@1e-3": 1e-3, "tpr@1e-2": 1e-2}

    def metrics(distance: float) -> dict[str, float]:
        tpr = {name: float(norm.sf(norm.isf(fpr) - distance)) for name, fpr in names.items()}
        return {**tpr, "auroc": float(norm.cdf(distance / 2**0.5)), "top1": float(norm.cdf(distance - 2.5))}

    samples = config.optim.samples
    curve = [
        {"samples": int(samples * part), "seconds": 50 * part, "loss": 38 - 8 * separation * part**0.5, "lr": 1e-3}
        | metrics(separation * part**0.3 - 0.15)
        for part in (0.25, 0.5, 0.75, 1.0)
    ]
    fpr = np.logspace(-6, 0, 200)
    flat = config.model.neck == "flatten"
    result = {
        "key": key, "seed": config.seed, "config": config.model_dump(mode="json"), "metrics": metrics(separation),
        "shifted": metrics(separation - 0.6),
        "validation": {name: curve[-1][name] for name in ("tpr@1e-4", "tpr@1e-3", "tpr@1e-2", "auroc", "top1")},
        "untrained": metrics(separation - 1.2),
        "cost": {
            "seconds": 60 + float(rng.normal()), "train_seconds": 52.0, "samples": samples,
            "samples_per_second": 1160 + 20 * float(rng.normal()), "peak_memory_mb": 812.0,
            "parameters": 1_386_032 + (512 if config.model.norm == "ln_bn" else 0) if flat else 615_984,
            "size_mb": 5.54, "flops_g": 0.0134, "classes": config.data.classes, "images": config.data.images,
            "overflow_steps": 0, "skipped_steps": 0, "clipped_share": 0.4,
            "time_share": {"data": 0.2, "forward and backward": 0.8},
        },
        "curve": curve,
        "test": {
            "identities": 1000, "captures": 5000, "positive_pairs": 10000, "negative_pairs": 12487500,
            "identity_pairs": 499500, "allowed": {"1e-4": 1248, "1e-3": 12487, "1e-2": 124875},
        },
        "manipulation": {"precision": {
            "mode": config.precision.mode, "device": "cpu", "linear_error": 3e-7, "reference_error": 3e-7,
            "took_effect": config.precision.mode == "highest",
        }},
        "inputs": {"train": "procedural:ab12", "test": "procedural:ab12", "pretrained": "none", "teacher": "none"},
        "data": {"train": "400 of 600 procedural documents", "test": "1000 procedural documents x 5 captures"},
        "environment": {
            "python": "3.11.7", "torch": "2.15.0", "timm": "1.0.31", "numpy": "2.3.0", "device": "cpu",
            "hardware": "AMD EPYC", "threads": 1, "system": "Linux x86_64", "git": None, "code": "c0ffee123456",
        },
    }  # fmt: skip
    scores = {"roc_fpr": fpr.astype(np.float32), "roc_tpr": norm.sf(norm.isf(fpr) - separation).astype(np.float32)}
    for prefix in ("", "shifted_"):
        scores |= {prefix + name: values for name, values in resampled().items()}
    return result, scores


@lru_cache(maxsize=1)
def resampled() -> dict[str, np.ndarray]:
    """What identities are resampled from: 800, whose positives pass whatever is drawn, so that it adds no variation."""
    rng = np.random.default_rng(0)
    left, right = (rng.permutation(np.resize(np.arange(800, dtype=np.int32), 6400)) for _ in range(2))
    return {
        "positive_scores": np.ones(800, np.float32), "positive_ids": np.arange(800, dtype=np.int32),
        "negative_scores": np.linspace(0.9, 0, 6400, dtype=np.float32), "negative_i": left, "negative_j": right,
        "captures": np.ones(800, np.int32),
    }  # fmt: skip


def reseal(store: Store, key: str, result: dict[str, Any]) -> None:
    """A result that was written otherwise, rather than damaged: with the checksum of what it says now."""
    store.path(key, "result.json").write_bytes(record.seal(result, RESULT_SCHEMA))


def norm_study() -> Study:
    return Study(
        study="norm",
        title="Normalisation in the embedding head",
        question="Which normalisation after the head's linear layers verifies best?",
        findings=("4_norm_ln_vs_bn", "9_norm_ln_bn"),
        baseline="ln",
        arms={
            "ln": Arm(about="LayerNorm", published=(Published(table="V4", row="lcnet050-f256-r128-ln-cos"),)),
            "bn": Arm(
                about="BatchNorm",
                set={"model.norm": "bn"},
                published=(
                    Published(table="V4", row="lcnet050-f256-r128-bn-cos"),
                    Published(table="V3", row="lcnet050-f256-r128-bn-arc"),
                ),
            ),
            "ln_bn": Arm(about="LayerNorm, then BatchNorm", set={"model.norm": "ln_bn"}),
            "ln_bn_imagenet": Arm(
                about="the same from ImageNet weights",
                set={"model.norm": "ln_bn", "model.pretrained": "imagenet"},
                requires=("imagenet_weights",),
            ),
        },
        contrasts=(
            Contrast(finding="4_norm_ln_vs_bn", better="ln", than="bn"),
            Contrast(finding="9_norm_ln_bn", better="ln_bn", than="ln"),
            Contrast(finding="9_norm_ln_bn", better="ln_bn_imagenet", than="ln"),
        ),
        confounds=("The published LN + BN run also changed augmentation and schedule.",),
    )


def class_study() -> Study:
    return Study(
        study="class-count",
        title="Number of classes",
        question="Do more classes help, made from the same images by rotations, flips and halves?",
        findings=("2_class_count",),
        baseline="x24",
        arms={
            "x1": Arm(set={"data.expansion": 1}, published=(Published(table="V4_classes", row=16256),)),
            "x8": Arm(set={"data.expansion": 8}, published=(Published(table="V4_classes", row=130048),)),
            "x24": Arm(published=(Published(table="V4_classes", row=390144),)),
        },
        contrasts=(Contrast(finding="2_class_count", kind="trend", better="x24", than="x1", smallest_effect=0.05),),
        x_axis="cost.classes",
    )


def key_of(config: RunConfig) -> str:
    return config.key({"data": "synthetic"})


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Made once; a test that changes runs takes `world`."""
    return build_world(tmp_path_factory.mktemp("pristine") / "runs")


@pytest.fixture
def world(tmp_path: Path, pristine: World) -> World:
    root = tmp_path / "runs"
    shutil.copytree(pristine.store.root, root)
    return replace(pristine, store=Store(root))


def build_world(root: Path) -> World:
    store, studies = Store(root), (norm_study(), class_study())
    rng = np.random.default_rng(0)
    luck = {seed: 0.08 * float(rng.normal()) for seed in SEEDS}  # shared by the arms of a seed
    cells: list[Cell] = []
    for study in studies:
        for name, arm in study.arms.items():
            for seed in SEEDS:
                if arm.requires:
                    reason = "the ImageNet weights of lcnet_050 are neither cached nor reachable"
                    cells.append(Cell(study.study, name, seed, None, reason))
                    continue
                config = RunConfig().with_overrides({"data.expansion": 24, **arm.set, "seed": seed})
                key = key_of(config)
                cells.append(Cell(study.study, name, seed, key))
                if store.state(key) != "new" or (name, seed) == ("x8", 1):
                    continue
                store.begin(key, config.to_yaml())
                if (name, seed) == ("bn", 2):
                    store.fail(key, "diverged", "the loss is nan at step 412 of 1000")
                    continue
                separation = _LEVEL.get(name, _LEVEL["ln"]) + luck[seed] + 0.03 * float(rng.normal())
                store.finish(key, *result_of(config, key, separation, rng))
    return World(studies, tuple(cells), store)


CODE = "c0ffee123456"  # of the results in the synthetic store
INPUTS = {"train": "procedural:ab12", "test": "procedural:ab12", "pretrained": "none", "teacher": "none"}
REPORT: dict[str, Any] = {
    "preset": "quick", "command": "python -m ablations run norm", "data_note": "384 documents",
    "looks": {3: 0.3, 5: 0.7},
}  # fmt: skip


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory, pristine: World) -> Path:
    """Written once; a test that changes files takes `world_report`."""
    out = tmp_path_factory.mktemp("written")
    write_report(pristine.studies, with_control(pristine).cells, pristine.store, out, **REPORT)
    return out


def with_control(world: World) -> World:
    """The world's cells and those of a control, whose two arms read two of the baseline's runs."""
    cells = [
        Cell("control", arm, 0, world.cell("norm", "ln", seed).key) for seed, arm in enumerate(control_study().arms)
    ]
    return replace(world, cells=(*world.cells, *cells))


@dataclass
class Written:
    """A world and its report, both free to be changed."""

    world: World
    out: Path

    def check(self, **changes: Any) -> Check:
        options: dict[str, Any] = {
            "store": self.world.store, "declared": {one.study: one for one in (*self.world.studies, control_study())},
            "resolve": lambda config: INPUTS,
        }  # fmt: skip
        return verify(self.out, **(options | changes))

    def problems(self, **changes: Any) -> list[str]:
        return [f"{problem.kind}: {problem.text}" for problem in self.check(**changes).problems]

    def change_result(self, key: str, change: Callable[[dict[str, Any]], Any]) -> None:
        result = self.world.store.result(key)
        change(result)
        reseal(self.world.store, key, result)


@pytest.fixture
def report(world: World, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    monkeypatch.setattr(provenance_check, "code_digest", lambda: CODE)
    shutil.copytree(written, tmp_path / "out")
    return Written(with_control(world), tmp_path / "out")
