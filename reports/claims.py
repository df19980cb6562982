"""The language of claims: findings of the record, studies and arms, as validated data.

A study is declared in YAML (see `ablations/studies/`); this module and `reports.contrasts` are its schema.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from importlib import resources
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from core import yaml_text
from core.errors import nearest
from reports.cells import HEAD_STEP
from reports.contrasts import Contrast

RequirementName = Literal["imagenet_weights", "openai_clip"]
NAME = r"^[a-z0-9][a-z0-9-]*$"  # of a study, or of a preset: files and options have it


_FRACTION = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(?:/\s*(\d{1,9})\s*)?")


def _fraction(value: Any) -> Any:
    """``"1/24"`` as a number. The pattern bounds the work: `Fraction` would write out 1e999999999."""
    if not isinstance(value, str):
        return value
    found = _FRACTION.fullmatch(value)
    if found is None or (found[2] is not None and not int(found[2])):
        raise ValueError("expected a number or a fraction such as 1/24")
    return float(Fraction(found[1]) / int(found[2] or 1))


class Finding(BaseModel):
    """A claim: one of the record's, with its id, source and published rows, or a study's own.

    A study's own claim has the study's name as its source and no number.
    """

    model_config = ConfigDict(frozen=True)
    id: str
    source: str
    claim: str
    rows: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The record's number, or the id of a study's own claim."""
        return self.id.split("_", 1)[0] if self.documented else self.id

    @property
    def documented(self) -> bool:
        return self.id in findings()


class Scaled(BaseModel):
    """An arm's value given as a multiple of the preset's, rounded to `step`: `{scale: 0.75}`, `{scale: 1/24}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    scale: Annotated[float, BeforeValidator(_fraction)] = Field(gt=0, le=1e6, allow_inf_nan=False)
    step: int = Field(1, ge=1, le=10**6)

    def of(self, baseline: float) -> int:
        return max(self.step, round(baseline * self.scale / self.step) * self.step)


def resolved(value: Any, baseline: Any) -> Any:
    """A field's value, worked out from the baseline's where it is a multiple of that."""
    scaled = isinstance(value, dict) and "scale" in value
    return Scaled.model_validate(value).of(baseline) if scaled else value


class Published(BaseModel):
    """Where the record has a number for an arm: `TABLE/ROW` of `published.yaml`, e.g. ``V4_classes/16256``."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    table: str
    row: str | int

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        table, _, row = value.partition("/")
        return {"table": table, "row": int(row) if row.isdecimal() else row}

    def values(self) -> dict[str, Any]:
        """The published cells, e.g. ``{"tpr": 0.784, "auroc": 0.9968, ...}``."""
        return dict(record()["rows"][self.table][self.row])

    @model_validator(mode="after")
    def _exists(self) -> Self:
        rows = record()["rows"]
        if self.table not in rows:
            raise ValueError(f"no table '{self.table}' in the record{nearest(self.table, rows)}")
        if self.row not in rows[self.table]:
            known = [str(row) for row in rows[self.table]]
            raise ValueError(f"no row '{self.row}' in the record's table {self.table}{nearest(str(self.row), known)}")
        return self


class Arm(BaseModel):
    """A named change to the baseline configuration, and nothing else.

    In YAML the changed fields stand beside the others: ``{model.norm: bn, about: "...", published: [...]}``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    about: str = ""
    set: dict[str, Any] = Field(default_factory=dict, description="dotted field: value, or {scale: x}")
    published: tuple[Published, ...] = ()
    requires: tuple[RequirementName, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _gather_fields(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        given = value.get("set", {})
        if not isinstance(given, dict):
            raise ValueError("`set` is a mapping of fields and values")
        dotted = {name: item for name, item in value.items() if isinstance(name, str) and "." in name}
        rest = {name: item for name, item in value.items() if name not in dotted}
        return {**rest, "set": {**given, **dotted}}

    def overrides(self, baseline: Mapping[str, Any]) -> dict[str, Any]:
        """The changed fields with scaled ones worked out from the baseline's values (dotted field: value)."""
        return {field: resolved(value, baseline[field]) for field, value in self.set.items()}


class Misplaced(ValueError):
    """A mistake at a `place` below the model that finds it: of fields that do not fit one another."""

    def __init__(self, message: str, *place: str | int) -> None:
        super().__init__(message)
        self.place = place


def _nearest_id(name: str, known: Mapping[str, Any]) -> str:
    """As `nearest`; the beginning of an id, such as ``4_norm``, is near to it."""
    begun = [one for one in known if one.startswith(name)]
    return f" (did you mean '{begun[0]}'?)" if begun else nearest(name, known)


class Study(BaseModel):
    """One ablation: a baseline, named arms and the contrasts that test findings."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    study: str = Field(pattern=NAME, max_length=64, description="names files of reports and tuning")
    title: str
    question: str
    findings: tuple[str, ...] = Field((), description="findings of the record that the study tests")
    claims: dict[str, str] = Field(default_factory=dict, description="claims of the study's own: name, what it says")
    baseline: str
    arms: dict[str, Arm]
    contrasts: tuple[Contrast, ...] = ()
    confounds: tuple[str, ...] = ()
    head_cost: bool = Field(False, description="show what a step of the class head takes, as `cost` measured it")
    x_axis: str | None = Field(None, description="a result's number to draw the arms against, e.g. cost.classes")
    conditions: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict, description="where `map` looks by itself: a field and its values, also as {scale: x}"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, text in (("title", self.title), ("question", self.question)):
            if not text.strip():
                raise Misplaced("pages are headed with it: say it in words", name)
        if any(not arm.strip(" ") for arm in self.arms):
            raise Misplaced("an arm needs a name", "arms")
        if self.baseline not in self.arms:
            raise Misplaced(f"'{self.baseline}' is not an arm{nearest(self.baseline, self.arms)}", "baseline")
        if self.arms[self.baseline].requires:
            raise ValueError(f"baseline '{self.baseline}' may not require anything that can be absent")
        if len(self.arms) < 2:
            raise ValueError("a study needs the baseline and at least one more arm")
        for place, finding in enumerate(self.findings):
            if finding not in findings():
                raise Misplaced(f"unknown finding '{finding}'{_nearest_id(finding, findings())}", "findings", place)
        for claim in self.claims:
            if claim in findings():
                raise ValueError(f"claim '{claim}' has the name of a finding of the record: list it under `findings`")
        known = {**findings(), **self.claims}
        for place, contrast in enumerate(self.contrasts):
            if contrast.finding not in known:
                told = f"unknown finding '{contrast.finding}'{_nearest_id(contrast.finding, known)}"
                raise Misplaced(f"{told}; `claims` declares those of the study's own", "contrasts", place, "finding")
            for where, arm in contrast.named:
                if arm not in self.arms:
                    told = f"unknown arm '{arm}'{nearest(arm, self.arms)}"
                    raise Misplaced(told, "contrasts", place, *where)
        self._check_tested()
        return self

    def _check_tested(self) -> None:
        """A claim without a contrast would be trained for, and be called not run at the end."""
        tested = {contrast.finding for contrast in self.contrasts}
        named: list[tuple[str, str | int, str]] = [("findings", *one) for one in enumerate(self.findings)]
        named += [("claims", name, name) for name in self.claims]
        for section, place, name in named:
            if name not in tested:
                raise Misplaced(f"no contrast tests '{name}'", section, place)

    def finding(self, name: str) -> Finding:
        """A finding of the record, or a claim of this study's own."""
        return findings().get(name) or Finding(id=name, source=self.study, claim=self.claims[name])

    @property
    def tested(self) -> tuple[str, ...]:
        """The findings and claims that the study names, in order."""
        named = (*self.findings, *self.claims, *(contrast.finding for contrast in self.contrasts))
        return tuple(dict.fromkeys(named))

    @property
    def deciding(self) -> frozenset[str]:
        """The arms that a verdict rests on, and the baseline."""
        return frozenset({self.baseline, *(arm for one in self.contrasts if one.decides for arm in one.arms)})

    @property
    def contrasts_of_runs(self) -> dict[int, Contrast]:
        """By their places, the contrasts that decide and read runs; the class head is timed apart from those."""
        return {place: one for place, one in enumerate(self.contrasts) if one.decides and one.column != HEAD_STEP}

    @property
    def digest(self) -> str:
        """Short content digest of the declaration, printed in reports: claims are fixed before results.

        Conditions are left out: no verdict rests on them.
        """
        canonical = json.dumps(self.model_dump(mode="json", exclude={"conditions"}), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


@lru_cache(maxsize=1)
def record() -> dict[str, Any]:
    """The documented record, `reports/published.yaml`, as nested dictionaries."""
    text = resources.files("reports").joinpath("published.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any]
    loaded, _ = yaml_text.parse("published.yaml", text)
    return loaded


@lru_cache(maxsize=1)
def findings() -> dict[str, Finding]:
    """The thirteen findings by id, in the record's order."""
    found: dict[str, Finding] = {}
    for name, entry in record()["findings"].items():
        rows = entry["rows"]
        shown = () if rows == "none" else (rows,) if isinstance(rows, str) else tuple(str(row) for row in rows)
        found[name] = Finding(id=name, source=entry["source"], claim=entry["claim"], rows=shown)
    return found
