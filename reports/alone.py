"""Contrasts that one of two reports does not have, of a finding that both test, and what keeps them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.markdown import listed
from reports.metrics import metric_name
from reports.summary import EstimateSummary, VerdictSummary


@dataclass(frozen=True)
class Alone:
    """A contrast of report 0 or 1, the first or the second, and why the other has none like it."""

    estimate: EstimateSummary
    report: int
    why: str


def identity(one: EstimateSummary) -> tuple[str, ...]:
    """What two contrasts must have in common to be one."""
    return (one.study, one.finding, one.kind, one.declared, *one.arms)


def alone(first: VerdictSummary, second: VerdictSummary) -> list[Alone]:
    """The contrasts of one finding that are in one of both reports, those of the first report first."""
    found: list[Alone] = []
    for report, (ours, theirs) in enumerate(((first, second), (second, first))):
        known = {identity(one) for one in theirs.estimates}
        other = ("the second report", "the first report")[report]
        lacking = [one for one in ours.estimates if identity(one) not in known]
        found += [Alone(one, report, f"{other} {_apart(one, theirs.estimates)}") for one in lacking]
    return found


def _apart(one: EstimateSummary, others: Sequence[EstimateSummary]) -> str:
    """What the other report has of the same finding, by the first thing that differs, as the end of a sentence."""
    if not others:
        return "has no contrast of it"
    if not (there := [other for other in others if other.study == one.study]):
        studies = listed([f"'{name}'" for name in dict.fromkeys(other.study for other in others)])
        return f"tests it in study {studies}"
    if not (there := [other for other in there if other.arms == one.arms]):
        return "tests it by other arms"
    if one.declared not in (metrics := [other.declared for other in there]):
        return f"tests it on {listed([metric_name(metric) for metric in dict.fromkeys(metrics)])}"
    return "makes another kind of claim of it"
