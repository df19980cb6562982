"""What comparisons, maps and calibrations found, as plain data for programs: the content of `--json`.

Words are those of verdicts.json; what is not known, or not finite, is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reports.alone import Alone
from reports.calibration import Calibration
from reports.comparison import Comparison, EstimatePair, FindingPair
from reports.comparison_told import reasons, told
from reports.coverage import Coverage, Setting
from reports.decision import OUTCOMES
from reports.estimates import Estimate
from reports.inline import plain
from reports.map_readings import reading
from reports.maps import Map
from reports.stats import Interval
from reports.summary import EstimateSummary, finite
from reports.verdict_tables import contrast_label

Facts = dict[str, Any]


def comparison_facts(found: Comparison) -> Facts:
    """Both verdicts on every finding, both estimates of every contrast, and what they come to.

    `moved` is null where a finding is inconclusive in both, or was not run in one: there is nothing to agree on.
    """
    return {
        "reports": list(found.names),
        "findings": [_finding(pair) for pair in found.findings],
        "estimates": [_pair(pair) for pair in found.estimates],
        "alone": [_alone(one) for one in found.alone],
        "told": told(found),
        "reasons": reasons(found),
    }


def _finding(pair: FindingPair) -> Facts:
    first, second = (verdict or None for verdict in pair.verdicts)
    either = pair.either
    return {
        "finding": either.finding, "label": either.label, "claim": either.claim, "first": first, "second": second,
        "moved": pair.moved if pair.reached or pair.moved else None,
    }  # fmt: skip


def _pair(pair: EstimatePair) -> Facts:
    one = pair.first
    return {
        "study": one.study, "finding": one.finding, "kind": one.kind, "arms": list(one.arms), "label": one.label,
        "metric": one.declared, "decides": one.decides, "ratio": one.ratio, "unit": one.unit,
        "first": _summary(pair.first), "second": _summary(pair.second), "difference": _ends(pair.difference),
        "reading": pair.reading, "why": pair.why, "same_settings": pair.same_settings,
    }  # fmt: skip


def _alone(alone: Alone) -> Facts:
    one = alone.estimate
    return {
        "report": ("first", "second")[alone.report], "study": one.study, "finding": one.finding, "kind": one.kind,
        "arms": list(one.arms), "label": one.label, "declared": one.declared, **_summary(one), "why": alone.why,
    }  # fmt: skip


def _summary(one: EstimateSummary) -> Facts:
    """One report's; its `metric` is the one that was read, which may be at a higher FPR than the declared one."""
    return {
        "metric": one.metric, **_ends(one.interval), "seeds": list(one.seeds), "missing": one.missing, "gate": one.gate,
    }  # fmt: skip


def _ends(found: Interval | None) -> Facts:
    ends = ("estimate", "low", "high")
    return {end: None if found is None else finite(getattr(found, end)) for end in ends}


def map_facts(found: Map) -> Facts:
    """Every contrast under every condition, one condition after another; absent ones have no estimate."""
    rows = [_mapped(label, one) for label, estimates in found.under for one in estimates]
    return {"study": found.study.study, "page": str(found.page), "fields": list(found.fields), "estimates": rows}


def _mapped(condition: str, one: Estimate) -> Facts:
    contrast = one.contrast
    return {
        "condition": condition, "finding": contrast.finding, "arms": list(contrast.arms),
        "label": plain(contrast_label(one)), "kind": contrast.kind, "metric": one.metric, "ratio": one.is_ratio,
        "unit": contrast.unit, **_ends(one.interval), "seeds": list(one.seeds), "reading": reading(one),
        "missing": one.missing, "gate": one.gate, "notes": list(one.notes),
    }  # fmt: skip


def calibration_facts(found: Calibration, covered: Sequence[tuple[Setting, Coverage]]) -> Facts:
    """Counts of verdicts by effect, in units of what is worth having, and finding; shares of intervals that cover."""
    outcomes = [
        {"effect": effect, "finding": name, "verdicts": {one: counts[one] for one in OUTCOMES}}
        for effect, of_effect in found.outcomes.items()
        for name, counts in of_effect.items()
    ]
    return {
        "reports": found.reports, "false": found.false, "measured": found.measured, "outcomes": outcomes,
        "coverage": [_covered(setting, one, n) for setting, one in covered for n in one.both],
    }  # fmt: skip


def _covered(setting: Setting, one: Coverage, seeds: int) -> Facts:
    return {
        "identities": setting.identities, "captures": setting.captures, "fpr": setting.fpr, "seeds": seeds,
        "replications": one.replications, "seed_sd": one.seed_sd, "identity_se": one.identity_se,
        "both": one.both[seeds], "seeds_alone": one.seeds_alone[seeds], "identities_alone": one.identities_alone[seeds],
    }  # fmt: skip
