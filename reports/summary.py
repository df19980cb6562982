"""`verdicts.json`: the verdicts and estimates of a report as data, for programs and to compare reports by."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core import json_text
from core.config import RunConfig, one_line
from core.errors import UserError
from core.store import write_atomic
from reports.control import control_study
from reports.estimates import Estimate, study_estimates
from reports.folders import check_file
from reports.inline import plain
from reports.material import Material
from reports.metrics import looser
from reports.stats import Interval
from reports.verdict_tables import contrast_label
from reports.verdicts import Verdict

SCHEMA = 1
NAME = "verdicts.json"
_REMEDY = "write the report again"
_MOST_BYTES = 16_000_000


class EstimateSummary(BaseModel):
    """One contrast as a report read it.

    Args:
        arms: every arm that it reads.
        label: what is subtracted or divided, and the metric, in plain text.
        declared, metric: the metric that the study declares, and the column that was read.
        decides: whether the verdict rests on it.
        ratio: `estimate`, `low` and `high` are ratios, the standard errors those of their logarithms.
        unit: the smallest effect worth having, or the loss that is allowed, on the scale of the test.
        estimate, low, high: with the 95 % interval; None where there is none.
        identity_df: None where the part is taken as known.
        settings: digest of the arms' configurations and inputs, without seeds, paths and the like; empty where runs do
            not agree on them.
        runs: keys of the runs that were read, in hex digits.
        missing, gate: why there is no estimate, or why it must not be judged.
        parts: of an interaction, whose estimate is a sum, its two differences, each as a contrast of its own; none in a
            report of an earlier version.
        looser: of a TPR that was read, the same at the next higher FPR, and so on to the highest, for comparison with
            reports that read one of those.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    study: str
    finding: str
    arms: tuple[str, ...]
    label: str
    kind: str
    declared: str
    metric: str
    decides: bool
    ratio: bool
    unit: float = Field(gt=0)
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    seed_se: float | None = Field(None, ge=0)
    identity_se: float | None = Field(None, ge=0)
    seed_df: float | None = Field(None, ge=0)
    identity_df: float | None = Field(None, ge=0)
    seeds: tuple[int, ...] = ()
    runs: tuple[str, ...] = ()
    settings: str = ""
    missing: str = ""
    gate: str = ""
    parts: tuple[EstimateSummary, ...] = ()
    looser: EstimateSummary | None = None

    @model_validator(mode="after")
    def _ratios_are_positive(self) -> Self:
        if self.ratio and any(end is not None and end <= 0 for end in (self.low, self.estimate, self.high)):
            raise ValueError("a ratio that is not positive")
        return self

    @property
    def readings(self) -> Iterator[EstimateSummary]:
        """The estimate as it was read, then at every looser FPR."""
        one: EstimateSummary | None = self
        while one is not None:
            yield one
            one = one.looser

    @property
    def interval(self) -> Interval | None:
        """The estimate as it was, on its own scale; None where there is none."""
        if self.estimate is None:
            return None
        low, high, seed_se = (math.nan if end is None else end for end in (self.low, self.high, self.seed_se))
        identity_df = math.inf if self.identity_df is None else self.identity_df
        return Interval(
            self.estimate, low, high, seed_se, self.identity_se or 0.0, self.seed_df or 0.0, identity_df,
            len(self.seeds),
        )  # fmt: skip


class VerdictSummary(BaseModel):
    """What a report says of one finding; `look` is the number of seeds that decided."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    finding: str
    label: str
    claim: str
    verdict: str
    reason: str
    look: int | None = None
    adjusted_p: float | None = None
    open: bool = False
    estimates: tuple[EstimateSummary, ...] = ()


class Summary(BaseModel):
    """The content of verdicts.json: findings in the order of the report, and the A/A control where there is one."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)
    version: int = Field(SCHEMA, alias="schema")
    preset: str
    findings: tuple[VerdictSummary, ...]
    control: EstimateSummary | None = None


def summary_of(material: Material, preset: str) -> Summary:
    """The summary of what a report's pages show, with looser readings; runs with tuned values are left to the pages."""
    control = material.control
    return Summary(
        preset=preset,
        findings=tuple(_verdict(verdict, material) for verdict in material.tested),
        control=None if control is None else _estimate(control, material),
    )


def _verdict(verdict: Verdict, material: Material) -> VerdictSummary:
    finding = verdict.finding
    return VerdictSummary(
        finding=finding.id, label=finding.label, claim=finding.claim, verdict=verdict.verdict, reason=verdict.reason,
        look=verdict.look, adjusted_p=verdict.adjusted_p, open=verdict.open,
        estimates=tuple(_estimate(one, material) for one in verdict.estimates),
    )  # fmt: skip


def _estimate(one: Estimate, material: Material) -> EstimateSummary:
    """The estimate, with its looser readings below one another."""
    read, again = _as_read(one, material), looser(one.metric)
    if one.interval is None or again is None:
        return read
    study = next(study for study in (*material.studies, control_study()) if study.study == one.study)
    changed = study.model_copy(update={"contrasts": (one.contrast.model_copy(update={"metric": again}),)})
    (other,) = study_estimates(changed, material.frame, material.replicates)
    return read.model_copy(update={"looser": _estimate(other, material)})


def _as_read(one: Estimate, material: Material) -> EstimateSummary:
    contrast = one.contrast
    summary = EstimateSummary(
        study=one.study, finding=contrast.finding, arms=contrast.arms, label=plain(contrast_label(one)),
        kind=contrast.kind, declared=contrast.metric, metric=one.metric, decides=contrast.decides, ratio=one.is_ratio,
        unit=contrast.unit, seeds=one.seeds, missing=one.missing, gate=one.gate,
    )  # fmt: skip
    if one.interval is None:
        return summary
    whole = _with_numbers(summary, one.interval, material)
    if len(one.parts) < 2:
        return whole
    parts = []
    for pair, found in one.shown:
        named = {"arms": pair, "label": plain(contrast_label(one, pair)), "kind": "superiority"}
        parts.append(_with_numbers(summary.model_copy(update=named), found, material))
    return whole.model_copy(update={"parts": tuple(parts)})


def _with_numbers(summary: EstimateSummary, found: Interval, material: Material) -> EstimateSummary:
    """With the numbers of `found`, and with the runs of its arms."""
    rows = material.frame[material.frame["study"] == summary.study]
    read = rows[rows["arm"].isin(summary.arms) & rows["seed"].isin(summary.seeds)]
    numbers = {
        name: finite(getattr(found, name))
        for name in ("estimate", "low", "high", "seed_se", "identity_se", "seed_df", "identity_df")
    }
    runs = tuple(dict.fromkeys(read["key"]))
    return summary.model_copy(update={**numbers, "runs": runs, "settings": _settings(read, material.results)})


def finite(value: float) -> float | None:
    """The value as JSON has it; None where it is not finite."""
    return float(value) if math.isfinite(value) else None


def _settings(read: pd.DataFrame, results: Mapping[str, Mapping[str, Any]]) -> str:
    """Digest of what the runs of each arm have in common: what decides a result, but for the seed."""
    arms: dict[str, Any] = {}
    for _, row in read.iterrows():
        result = results[row["key"]]
        try:
            identity = RunConfig.model_validate(result["config"]).identity()
        except (KeyError, ValidationError):  # a run of an earlier version
            return ""
        settings = [{**identity, "seed": None}, result.get("inputs")]
        if arms.setdefault(row["arm"], settings) != settings:
            return ""
    return hashlib.sha256(json.dumps(arms, sort_keys=True).encode()).hexdigest()[:12]


def write_summary(summary: Summary, out: Path) -> None:
    """Write verdicts.json under `out`; raises `core.errors.RunFailure` when it cannot be written."""
    facts = summary.model_dump(mode="json", by_alias=True)
    write_atomic(Path(out) / NAME, (json.dumps(facts, indent=1, ensure_ascii=True) + "\n").encode())


def read_summary(out: Path) -> Summary:
    """The summary of the report under `out`; `UserError` where there is none that can be read."""
    path = Path(out) / NAME
    check_file(path)
    try:
        summary = Summary.model_validate(json_text.read(path, _MOST_BYTES))
    except FileNotFoundError:
        raise UserError(
            f"{path} is not there: name the folder of a report; where the report is of an earlier version, {_REMEDY}"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except ValidationError as error:
        raise UserError(f"{path} does not hold verdicts ({one_line(error)}): {_REMEDY}") from None
    if summary.version != SCHEMA:
        raise UserError(f"{path} has schema {summary.version}, this version reads {SCHEMA}: {_REMEDY}")
    return summary
