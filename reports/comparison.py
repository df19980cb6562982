"""Two reports, finding by finding and contrast by contrast: what is the same, what moved, and whether by chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from core.errors import UserError
from reports.alone import Alone, alone, identity
from reports.cells import HEAD_STEP
from reports.claims import findings
from reports.stats import Interval
from reports.summary import EstimateSummary, Summary, VerdictSummary, read_summary

Reading = Literal["alike", "differ", "opposite", "not told"]
_CONFIDENCE = 0.95
NO_VERDICT = ("not run", "inconclusive")  # what a report says of a finding that it tests and did not decide


@dataclass(frozen=True)
class FindingPair:
    """One finding in both reports; None where a report does not test it."""

    first: VerdictSummary | None
    second: VerdictSummary | None

    @property
    def either(self) -> VerdictSummary:
        """For what both say alike: label and claim."""
        found = self.first or self.second
        assert found is not None
        return found

    @property
    def verdicts(self) -> tuple[str, str]:
        """The two verdicts; empty where a report does not test it."""
        return (self.first.verdict if self.first else "", self.second.verdict if self.second else "")

    @property
    def in_both(self) -> bool:
        """Whether both tested it; what was not run is no verdict."""
        return not {"", "not run"} & set(self.verdicts)

    @property
    def moved(self) -> bool:
        """Whether both tested it and say something else."""
        return self.in_both and self.verdicts[0] != self.verdicts[1]

    @property
    def reached(self) -> bool:
        """Whether both reached a verdict, and so agree or not: two that could not tell agree on nothing."""
        return not {"", *NO_VERDICT} & set(self.verdicts)

    @property
    def open(self) -> bool:
        """Whether it is inconclusive in both."""
        return set(self.verdicts) == {"inconclusive"}


@dataclass(frozen=True)
class EstimatePair:
    """One contrast in both reports.

    `difference` is the second estimate minus the first, of ratios the quotient; None where there is none that can be
    read, and `why` says why.
    """

    first: EstimateSummary
    second: EstimateSummary
    difference: Interval | None
    why: str = ""

    @property
    def there(self) -> bool:
        """Whether there is any estimate of it."""
        return self.first.estimate is not None or self.second.estimate is not None

    @property
    def same_settings(self) -> bool:
        """Whether both have the same arms, settings and inputs."""
        return bool(self.first.settings) and self.first.settings == self.second.settings

    @property
    def repeats(self) -> bool:
        """Whether they are of the same settings, and of runs that can be held to one another."""
        return self.difference is not None and self.same_settings

    @property
    def reading(self) -> Reading:
        """Whether the two differ by more than chance, each at 95 % by itself; `opposite`: on two sides of zero, too."""
        difference, null = self.difference, 1.0 if self.first.ratio else 0.0
        if difference is None or math.isnan(difference.low):
            return "not told"
        if difference.low <= null <= difference.high:
            return "alike"
        sides = {_side(one.interval, null) for one in (self.first, self.second)}
        return "opposite" if sides == {-1, 1} else "differ"


def _side(found: Interval | None, null: float) -> int:
    """1 where the whole interval lies above, -1 where it lies below, else 0."""
    if found is None:
        return 0
    return int(found.low > null) - int(found.high < null)


@dataclass(frozen=True)
class Comparison:
    """Two reports; findings in the order of the record, then studies' own claims.

    `alone` has the contrasts, of findings that both test, that one of them does not have.
    """

    names: tuple[str, str]
    findings: tuple[FindingPair, ...]
    estimates: tuple[EstimatePair, ...]
    alone: tuple[Alone, ...] = ()

    @property
    def differences(self) -> list[EstimatePair]:
        """The pairs that can be read, of a difference and its mirror image (A − B and B − A) the first alone."""
        once: dict[tuple[object, ...], EstimatePair] = {}
        for pair in self.estimates:
            one = pair.first
            arms = frozenset(one.arms) if len(one.arms) == 2 else one.arms
            if pair.reading != "not told":
                once.setdefault((one.study, arms, one.metric, one.ratio), pair)
        return list(once.values())

    @property
    def labels(self) -> dict[str, str]:
        """What findings are called, by id."""
        return {pair.either.finding: pair.either.label for pair in self.findings}

    @property
    def moved(self) -> list[FindingPair]:
        return [pair for pair in self.findings if pair.moved]

    @property
    def same(self) -> list[FindingPair]:
        return [pair for pair in self.findings if pair.reached and not pair.moved]


def compare_reports(first: Path, second: Path) -> Comparison:
    """Read and compare the reports under two folders.

    Raises:
        UserError: a folder without verdicts.json, or one whose file cannot be used; or the same folder twice.
    """
    if first.resolve() == second.resolve():
        raise UserError(f"{first} and {second} are one folder: name two reports")
    return compare_summaries(read_summary(first), read_summary(second), (str(first), str(second)))


def compare_summaries(first: Summary, second: Summary, names: tuple[str, str]) -> Comparison:
    """Compare two summaries; a contrast is the same where study, finding, kind, arms and declared metric are."""
    ours, theirs = ({_claimed(one): one for one in summary.findings} for summary in (first, second))
    named = dict.fromkeys((*ours, *theirs))
    order = [*(name for name in findings() if name in named), *(name for name in named if name not in findings())]
    pairs = [FindingPair(ours.get(name), theirs.get(name)) for name in order]
    known = _by_contrast(second)
    both = [(one, known[contrast]) for contrast, one in _by_contrast(first).items() if contrast in known]
    estimates = [pair for one, other in both for pair in _pairs(one, other)]
    shared = [(pair.first, pair.second) for pair in pairs if pair.first and pair.second]
    return Comparison(names, tuple(pairs), tuple(estimates), tuple(one for both in shared for one in alone(*both)))


def _claimed(one: VerdictSummary) -> str | tuple[str, str]:
    """What makes findings of two reports one: the record's id; a claim of a study's own also by what it says."""
    return one.finding if one.finding in findings() else (one.finding, one.claim)


def _by_contrast(summary: Summary) -> Mapping[tuple[str, ...], EstimateSummary]:
    found: dict[tuple[str, ...], EstimateSummary] = {}
    control = [summary.control] if summary.control else []
    for one in (*(estimate for verdict in summary.findings for estimate in verdict.estimates), *control):
        found.setdefault(identity(one), one)
    return found


def _pairs(first: EstimateSummary, second: EstimateSummary) -> list[EstimatePair]:
    """The two; of an interaction both of its differences, as their sum does not show that they moved opposite ways.

    A report of an earlier version has the sum alone, and that is compared.
    """
    ours, theirs = _at_one_metric(first, second)
    if ours.parts and [one.arms for one in ours.parts] == [one.arms for one in theirs.parts]:
        return [_compared(*both) for both in zip(ours.parts, theirs.parts, strict=True)]
    return [_compared(ours, theirs)]


def _at_one_metric(first: EstimateSummary, second: EstimateSummary) -> tuple[EstimateSummary, EstimateSummary]:
    """The two at the lowest FPR at which both were read; as they are where there is none."""
    theirs = {other.metric: other for other in reversed(list(second.readings))}
    return next(((one, theirs[one.metric]) for one in first.readings if one.metric in theirs), (first, second))


def _compared(first: EstimateSummary, second: EstimateSummary) -> EstimatePair:
    ours, theirs, why = first.interval, second.interval, _why_not(first, second)
    pair = EstimatePair(first, second, None, why)
    if ours is None or theirs is None or why:
        return pair
    return replace(pair, difference=_difference(ours, theirs, pair.same_settings, first.ratio))


def _why_not(first: EstimateSummary, second: EstimateSummary) -> str:
    for one, which in ((first, "first"), (second, "second")):
        if one.estimate is None:
            return f"the {which} report has no estimate"
        if one.gate:
            return f"a gate forbids to judge it in the {which} report"
    if first.metric != second.metric:
        return "the two read different metrics"
    if first.metric == HEAD_STEP:
        return "the head is timed apart from runs"
    if shared := len(set(first.runs) & set(second.runs)):
        return f"they share {shared} run{'s' if shared > 1 else ''}"
    return ""


def _difference(first: Interval, second: Interval, repeats: bool, ratio: bool) -> Interval:
    """Second minus first (ratios: by logarithms), whose runs are other runs.

    The seeds' part is Welch's (1947): the sum of both variances, its degrees of freedom by Satterthwaite's formula. The
    identities' part drops out where arms, settings and inputs are the same, as both are judged on the same captures of
    the same identities and what differs between seeds is in the seeds' part already. Elsewhere it is the sum of both,
    which is too much where test sets overlap.
    """
    ours, theirs = (math.log(one.estimate) if ratio else one.estimate for one in (first, second))
    seeds = _summed([(one.seed_se, one.seed_df) for one in (first, second)])
    identities = (
        (0.0, math.inf) if repeats else _summed([(one.identity_se, one.identity_df) for one in (first, second)])
    )
    n = min(first.n, second.n)
    found = Interval(theirs - ours, math.nan, math.nan, seeds[0], identities[0], seeds[1], identities[1], n)
    found = found.at(_CONFIDENCE)
    if not ratio:
        return found
    low, middle, high = (math.exp(end) for end in (found.low, found.estimate, found.high))
    return replace(found, estimate=middle, low=low, high=high)


def _summed(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Standard error and degrees of freedom of a sum of independent parts; those without variation have no weight."""
    varying = [(se, df) for se, df in parts if se]
    se = math.hypot(*(one for one, _ in varying)) if varying else 0.0
    spread = sum(one**4 / df for one, df in varying if df)
    return se, se**4 / spread if spread else math.inf
