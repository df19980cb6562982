"""Studies: those in the package, and the user's own YAML files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ablations import declarations, settable
from core.config import RunConfig
from core.errors import UserError, nearest
from reports.cells import COSTS, DERIVED_COSTS, READABLE
from reports.claims import Arm, Scaled, Study
from reports.control import CONTROL

_PACKAGE = Path(__file__).resolve().parent
_TAKEN = re.compile(r"index|report|calibration|all|con|prn|aux|nul|com\d|lpt\d")  # pages are files of the study's name
# The order of the documented findings, which is the order of lists and reports.
STUDY_ORDER = (
    "partial-fc", "class-count", "precision", "norm", "margin", "pretrain", "neck", "clip", "backbone",
    "resolution", "pool",
)  # fmt: skip


@dataclass(frozen=True)
class LoadedStudy:
    """A study and the file that it came from."""

    study: Study
    path: Path


def study_names() -> list[str]:
    names = {path.stem for path in (_PACKAGE / "studies").glob("*.yaml")}
    return [name for name in STUDY_ORDER if name in names] + sorted(names - set(STUDY_ORDER))


@lru_cache(maxsize=64)
def load_study(name: str) -> LoadedStudy:
    """A study by name, or from a YAML file.

    Raises:
        UserError: an unknown name (the nearest is suggested), or a mistake with its file, line and field.
    """
    path = Path(name) if declarations.is_file(name) else _PACKAGE / "studies" / f"{name}.yaml"
    if not os.path.isfile(path):  # unlike Path.is_file it takes any text
        if path.parent == _PACKAGE / "studies":
            raise UserError(f"unknown study '{name}'{nearest(name, study_names())}")
        raise declarations.absent("study", name)
    study, root = declarations.read(path, Study)
    if study.study == CONTROL:
        raise declarations.mistake(path, root, ("study",), "this name belongs to the A/A control of every report")
    if _TAKEN.fullmatch(study.study):
        raise declarations.mistake(path, root, ("study",), "no study can have this name: a file or an option has it")
    for arm_name, arm in study.arms.items():
        _check_arm(path, root, study, arm_name, arm)
    for field, values in study.conditions.items():
        _check_conditions(path, root, field, values)
    for place, contrast in enumerate(study.contrasts):  # after hours of training would be late
        if contrast.column not in READABLE:
            told = f"no metric '{contrast.column}'{nearest(contrast.column, READABLE)}"
            where = ("contrasts", place, "metric")
            raise declarations.mistake(path, root, where, told)
        size = "margin" if contrast.kind == "non_inferiority" else "smallest_effect"
        if contrast.is_of_rates and abs(contrast.mark) >= 1:  # given in per cent, it would decide every verdict
            told = f"of {contrast.metric} itself, which is 1 at most, not in per cent: two per cent are 0.02"
            raise declarations.mistake(path, root, ("contrasts", place, size), told)
    if study.x_axis is not None and study.x_axis not in (axes := _axes()):
        told = f"no number of a result '{study.x_axis}'{nearest(study.x_axis, axes)}"
        raise declarations.mistake(path, root, ("x_axis",), told)
    return LoadedStudy(study, path)


def _axes() -> list[str]:
    """What `x_axis` can be: the costs that a result has, and numbers of a run's configuration."""
    costs = [f"cost.{name}" for name in COSTS if name not in DERIVED_COSTS]
    values = baseline_values(RunConfig())
    return costs + [f"config.{name}" for name, value in values.items() if type(value) in (int, float)]


def _check_arm(path: Path, root: yaml.MappingNode, study: Study, name: str, arm: Arm) -> None:
    """Every field that an arm sets exists, may be set, and takes the value."""
    for field, value in arm.set.items():
        where = ("arms", name, field)
        _check_name(path, root, where, field, "an arm can set")
        if name == study.baseline:
            told = f"the baseline arm changes nothing; change other arms, or all at once by {settable.for_all(field)}"
            raise declarations.mistake(path, root, where, told)
        _check_value(path, root, where, field, value)


def _check_conditions(path: Path, root: yaml.MappingNode, field: str, values: Sequence[Any]) -> None:
    """The field of a study's conditions exists, may be varied, and takes all of at least two values."""
    where = ("conditions", field)
    _check_name(path, root, where, field, "conditions can vary")
    if len(values) < 2:
        raise declarations.mistake(path, root, where, "expected a list of at least two values")
    for value in values:
        _check_value(path, root, where, field, value)


def _check_name(path: Path, root: yaml.MappingNode, where: tuple[str, ...], field: str, what: str) -> None:
    if not settable.can_name(field):
        raise declarations.mistake(path, root, where, f"no field that {what}{settable.advice(field)}")


def _check_value(path: Path, root: yaml.MappingNode, where: tuple[str, ...], field: str, value: Any) -> None:
    try:
        if isinstance(value, dict):
            scaled = Scaled.model_validate(value)
            base = baseline_values(RunConfig())[field]
            if not isinstance(base, int) or isinstance(base, bool):
                raise UserError("only whole-number fields can be scaled")
            value = scaled.of(base)
        RunConfig().with_overrides({field: value})
    except (UserError, ValidationError) as error:
        message = str(error) if isinstance(error, UserError) else "expected a value or {scale: number, step: number}"
        raise declarations.mistake(path, root, where, message.removeprefix(f"{field}: ")) from None


def load_studies(names: list[str]) -> list[Study]:
    """The named studies in order, `all` standing for the package's; doubles are dropped.

    Raises:
        UserError: also where two files declare a study of one name, whose runs could not be told apart, or where two
            studies have a claim of one name, which would be judged as one.
    """
    expanded: list[str] = []
    for name in names:
        expanded.extend(study_names() if name == "all" else [name])
    found: dict[str, LoadedStudy] = {}
    for name in dict.fromkeys(expanded):
        loaded = load_study(name)
        first = found.setdefault(loaded.study.study, loaded)
        if first.path != loaded.path:
            raise UserError(f"{loaded.path}: {first.path} declares a study '{loaded.study.study}' too: rename one")
    owners: dict[str, LoadedStudy] = {}
    for loaded in found.values():
        for claim in loaded.study.claims:
            first = owners.setdefault(claim, loaded)
            if first is not loaded:
                raise UserError(f"{loaded.path}: {first.path} has a claim '{claim}' too: rename one")
    return [loaded.study for loaded in found.values()]


def baseline_values(config: RunConfig) -> dict[str, Any]:
    """A configuration as dotted fields."""
    values: dict[str, Any] = {}
    for section, content in config.model_dump().items():
        if isinstance(content, dict):
            values.update({f"{section}.{name}": value for name, value in content.items()})
        else:
            values[section] = content
    return values
