"""A fair search for every arm: the space, its points, the choice among trials. Nothing here trains or reads a run.

Every arm gets the same number of trials, and the same points in the dimensions that it uses (common random
numbers, as everywhere else): what one arm may try, every arm may. The protocol follows Musgrave et al. 2020 and
Gulrajani and Lopez-Paz 2021: equal budgets, selection on validation identities alone, nothing stopped early.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from core.config import RunConfig
from reports.claims import Study

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

# Evaluation seeds are 0, 1, 2, ...: values chosen on one of them would fit its images and its luck.
TUNING_SEED = 900_001
SAMPLES_SHARE = 0.4  # of a full-length run's samples
OBJECTIVE = "tpr@1e-3"  # less noisy than at 1e-4, on few validation identities
WORST = 0.0  # the value of a trial that failed
_SOBOL_SEED = 20240421
_EDGE = 0.05  # share of a range, at either end
_DIGITS = 4  # significant digits of a value: what is printed is what was run

# The record's protocol (`reports/published.yaml`, `protocol`: AdamW at 1e-3 for everything, margin 0.4, scale 64,
# distillation weight 1).
PUBLISHED: Mapping[str, float] = {
    "optim.lr": 1e-3, "optim.centre_lr_ratio": 1.0, "loss.margin": 0.4, "loss.scale": 64.0, "distill.weight": 1.0,
}  # fmt: skip


@dataclass(frozen=True)
class Range:
    """A continuous dimension."""

    low: float
    high: float
    log: bool = False

    def position(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high one, on the (log) scale that is searched."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def distribution(self, others: Sequence[float] = ()) -> BaseDistribution:
        """For Optuna, wide enough for `others`: given values need not lie in the range."""
        from optuna.distributions import FloatDistribution

        return FloatDistribution(min((self.low, *others)), max((self.high, *others)), log=self.log)


@dataclass(frozen=True)
class Choice:
    """A dimension of a few values."""

    values: tuple[float, ...]

    def distribution(self, others: Sequence[float] = ()) -> BaseDistribution:
        """For Optuna, with `others` among the choices."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(sorted({*self.values, *others}))


# The order is part of the sequence: a new dimension goes last and changes all points. The record's values and all
# presets' lie well inside: a search that confirms them must not end at an edge.
SPACE: Mapping[str, Range | Choice] = {
    "optim.lr": Range(2e-5, 1e-2, log=True),
    "optim.centre_lr_ratio": Range(0.1, 1000.0, log=True),
    "loss.margin": Range(0.1, 0.6),  # cosine units or radians, by the loss
    "loss.scale": Choice((32.0, 64.0)),
    "distill.weight": Range(0.3, 4000.0, log=True),
}


@dataclass(frozen=True)
class Trial:
    """One point of an arm's search, and what came of it.

    Args:
        origin: ``published``, ``preset`` or ``sobol``.
        values: of every field that is tuned in the arm.
        value, auroc: on validation identities, `WORST` until judged and where the run failed.
        failure: why it failed; empty otherwise.
    """

    number: int
    origin: str
    values: Mapping[str, float]
    key: str = ""
    value: float = WORST
    auroc: float = WORST
    failure: str = ""


def fields_of(study: Study, config: RunConfig) -> tuple[str, ...]:
    """The fields that are tuned in an arm of `study` whose configuration is `config`.

    A field that any arm of the study declares is what the study is about, and stays as declared in all of them.
    """
    declared = {field for arm in study.arms.values() for field in arm.set}
    unused = set()
    if config.loss.kind == "softmax":
        unused.add("loss.margin")
    if not config.distill.active:
        unused.add("distill.weight")
    return tuple(field for field in SPACE if field not in declared | unused)


@lru_cache(maxsize=8)
def sobol_points(count: int) -> tuple[Mapping[str, float], ...]:
    """The first `count` points of one scrambled Sobol sequence over the full space; more only adds to them."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        # The sampler is marked experimental for its interface; its points are tested to stay what they are.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.QMCSampler(qmc_type="sobol", scramble=True, seed=_SOBOL_SEED)
    space = {field: dimension.distribution() for field, dimension in SPACE.items()}
    study = optuna.create_study(sampler=sampler)
    # The sampler learns its space from the first trial of a study.
    study.add_trial(optuna.trial.create_trial(value=0.0, params=dict(PUBLISHED), distributions=space))
    asked = [study.ask(space).params for _ in range(count)]
    return tuple({field: float(f"{params[field]:.{_DIGITS}g}") for field in SPACE} for params in asked)


def trials_of(study: Study, config: RunConfig, count: int) -> list[Trial]:
    """The first `count` trials of an arm: the published values, the arm's own (the preset's), then the sequence."""
    fields = fields_of(study, config)
    points = [("published", PUBLISHED), ("preset", values_of(config, fields))]
    points += [("sobol", point) for point in sobol_points(max(0, count - len(points)))]
    return [
        Trial(number, origin, {field: point[field] for field in fields})
        for number, (origin, point) in enumerate(points[:count])
    ]


def values_of(config: RunConfig, fields: Sequence[str]) -> dict[str, float]:
    """What a configuration has at dotted fields."""
    values = {}
    for field in fields:
        section, name = field.split(".")
        values[field] = float(getattr(getattr(config, section), name))
    return values


def trial_config(config: RunConfig, values: Mapping[str, float]) -> RunConfig:
    """The run of a trial: the arm's with `values`, shorter, on the tuning seed, judged on validation identities."""
    samples = max(config.optim.batch_size, round(SAMPLES_SHARE * config.optim.samples))
    return config.with_overrides(
        {**values, "optim.samples": samples, "eval.judged": "validation", "eval.shifted": False, "seed": TUNING_SEED}
    )


def distributions(own: Mapping[str, float]) -> dict[str, BaseDistribution]:
    """The dimensions of an arm's search for Optuna, holding the published and the arm's `own` values as well."""
    return {field: SPACE[field].distribution((PUBLISHED[field], value)) for field, value in own.items()}


def choose(trials: Sequence[Trial]) -> Trial | None:
    """The best trial: by TPR@1e-3, then AUROC, then the earliest; None where all failed."""
    done = [trial for trial in trials if not trial.failure]
    return max(done, key=lambda trial: (trial.value, trial.auroc, -trial.number), default=None)


def at_edge(values: Mapping[str, float]) -> list[str]:
    """Continuous fields within 5 % of their (log) range of an end, or beyond it: the best may lie outside."""
    found = []
    for field, value in values.items():
        dimension = SPACE[field]
        if isinstance(dimension, Range) and not _EDGE < dimension.position(value) < 1 - _EDGE:
            found.append(field)
    return found


def digest(
    study: Study,
    baseline: RunConfig,
    fingerprints: Mapping[str, str],
    own: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """What a search belongs to: the baseline, its data, the arms and this protocol; twelve hex digits.

    The wording of a study and its contrasts are not part of it.

    Args:
        own: fingerprints of what arms read in place of the baseline's, by arm.
    """
    payload = {
        "baseline": baseline.identity(), "inputs": dict(fingerprints),
        "arms": {name: arm.set for name, arm in study.arms.items()},
        "protocol": [TUNING_SEED, SAMPLES_SHARE, _SOBOL_SEED, _DIGITS, dict(PUBLISHED), repr(dict(SPACE))],
    }  # fmt: skip
    if own:  # left out otherwise, so that most searches stay what they are
        payload["own inputs"] = {name: dict(found) for name, found in own.items()}
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()[:12]


def record(trials: Sequence[Trial]) -> dict[str, Any]:
    """An arm's search as plain data: what was chosen (None where all trials failed), and every trial."""
    best = choose(trials)
    preset = next((trial for trial in trials if trial.origin == "preset"), None)
    return {
        "values": dict(best.values) if best else None,
        "trial": best.number if best else None,
        "value": best.value if best else WORST,
        "auroc": best.auroc if best else WORST,
        "preset_value": preset.value if preset else None,
        "at_edge": at_edge(best.values) if best else [],
        "failed": sum(bool(trial.failure) for trial in trials),
        "trials": [
            {"trial": trial.number, "origin": trial.origin, "values": dict(trial.values), "value": trial.value,
             "auroc": trial.auroc, "key": trial.key, "failure": trial.failure}
            for trial in trials
        ],
    }  # fmt: skip
