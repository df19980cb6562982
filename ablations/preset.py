"""Presets, the scales of runs: those in the package, and the user's own YAML files."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationInfo, field_validator

from ablations import declarations, settable
from core.config import RunConfig
from core.errors import UserError, nearest
from reports.claims import NAME

_FOLDER = Path(__file__).resolve().parent / "presets"
DEFAULT_PRESET = "quick"
MOST_SEEDS = 1000  # that a number can ask for
FEWEST_OF_A_LOOK = 2  # seeds: an interval of one would be of nothing


class Preset(BaseModel):
    """The scale of runs: fields of the baseline, how many seeds, and the looks.

    `looks` maps the numbers of seeds at which a verdict may be reached to their shares of alpha. Looking after every
    seed would multiply false verdicts; looks fixed beforehand, each with its share, do not. Without
    looks nothing is ever decided. `seeds` is that of the first look where it is left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    preset: str = Field(pattern=NAME, max_length=64)
    base: Literal["smoke", "quick", "standard", "published"] | None = Field(
        None, description="what the file does not say is as in this one"
    )
    about: str = ""
    looks: dict[int, float] = Field(default_factory=dict, description="number of seeds: share of alpha")
    seeds: int = Field(default_factory=lambda given: min(given.get("looks") or [1]), ge=1, le=MOST_SEEDS)
    set: dict[str, Any] = Field(default_factory=dict)
    requires: tuple[Literal["imagenet_weights"], ...] = ()
    _file: str = PrivateAttr("")

    @property
    def spelled(self) -> str:
        """What `--preset` takes to mean this one: its name, or its file."""
        return self._file or self.preset

    @field_validator("looks")
    @classmethod
    def _spends_alpha_once(cls, looks: dict[int, float]) -> dict[int, float]:
        counts = list(looks)
        if not all(FEWEST_OF_A_LOOK <= count <= MOST_SEEDS for count in counts):
            told = f"a look is a number of seeds from {FEWEST_OF_A_LOOK} to {MOST_SEEDS}, got {counts}"
            raise ValueError(f"{told}: of one seed there is no interval" if 1 in counts else told)
        if counts != sorted(counts):
            raise ValueError(f"looks go up in their numbers of seeds, got {counts}")
        if not all(share > 0 for share in looks.values()):
            raise ValueError(f"every look has a share of alpha above 0, got {list(looks.values())}")
        if looks and not math.isclose(sum(looks.values()), 1.0, abs_tol=1e-9):
            raise ValueError(f"the shares of alpha sum to 1, got {sum(looks.values()):g}")
        return looks

    @field_validator("seeds")
    @classmethod
    def _reach_the_first_look(cls, seeds: int, info: ValidationInfo) -> int:
        if (first := min(info.data.get("looks") or [1])) > seeds:
            raise ValueError(f"the first look takes {first} seeds, got {seeds}: no verdict would be reached")
        return seeds


def preset_names() -> list[str]:
    order = {"smoke": 0, "quick": 1, "standard": 2, "published": 3}
    return sorted((path.stem for path in _FOLDER.glob("*.yaml")), key=lambda name: order.get(name, 9))


def load_preset(name: str) -> Preset:
    """A preset by name, or from a YAML file.

    Raises:
        UserError: an unknown name (the nearest is suggested), or a mistake with its file, line and field.
    """
    if not declarations.is_file(name):
        if name not in preset_names():
            raise UserError(f"unknown preset '{name}'{nearest(name, preset_names())}")
        return declarations.read(_FOLDER / f"{name}.yaml", Preset)[0]
    if not os.path.isfile(name):  # unlike Path.is_file it takes any text
        raise declarations.absent("preset", name)
    path = Path(name)
    preset, root = declarations.read(path, Preset, _with_base)
    if preset.preset in preset_names():
        raise declarations.mistake(path, root, ("preset",), "a preset of the package has this name: take another")
    for field, value in preset.set.items():
        _check_field(path, root, field, value)
    preset._file = name
    return preset


def _with_base(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a file says, and what it leaves to the preset that it names as its base."""
    base, own = data.get("base"), data.get("set", {})
    if base not in preset_names() or not isinstance(own, dict):
        return data  # for the model to refuse what is no base
    known = load_preset(base)
    left = {"requires": known.requires, **({} if "looks" in data else {"looks": known.looks, "seeds": known.seeds})}
    return {**left, **data, "set": {**known.set, **own}}


def _check_field(path: Path, root: yaml.MappingNode, field: str, value: Any) -> None:
    where = ("set", field)
    if not settable.can_name(field) or field in settable.ELSEWHERE:
        instead = declarations.dotted(field, value) or settable.advice_for_preset(field)
        told = f"no field that a preset can set{instead}"
        raise declarations.mistake(path, root, where, told)
    try:
        RunConfig().with_overrides({field: value})
    except UserError as error:
        raise declarations.mistake(path, root, where, str(error).removeprefix(f"{field}: ")) from None
