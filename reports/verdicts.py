"""Studies + runs -> one verdict for every finding, by the rule of `reports.decision`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import pandas as pd

from reports.claims import Finding, Study, findings
from reports.decision import ALPHA, Decision, Difference, Outcome, decide_over_looks
from reports.estimates import Estimate, study_estimates
from reports.power import Levels
from reports.replicates import Replicates
from reports.sentences import sentence

VerdictWord = Literal[Outcome, "not run"]
VERDICTS: tuple[VerdictWord, ...] = get_args(VerdictWord)


@dataclass(frozen=True)
class Verdict:
    """What is said of one finding.

    `reason` is one plain sentence; `look` the number of seeds that decided, None where nothing is decided; `adjusted_p`
    is Holm's over the findings of the report, two-sided; `decider` the estimate that the verdict rests on; `open` says
    that more seeds may still decide.
    """

    finding: Finding
    verdict: VerdictWord
    reason: str
    estimates: tuple[Estimate, ...] = field(default=())
    look: int | None = None
    adjusted_p: float | None = None
    decider: Estimate | None = None
    open: bool = False

    @property
    def studies(self) -> tuple[str, ...]:
        """The studies that test it, in order."""
        return tuple(dict.fromkeys(estimate.study for estimate in self.estimates))


def judge(
    studies: Sequence[Study],
    frame: pd.DataFrame,
    *,
    looks: Mapping[int, float] | None = None,
    replicates: Replicates | None = None,
    alpha: float = ALPHA,
    edges: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
) -> list[Verdict]:
    """One verdict for every finding of the record, in its order, then for the studies' own claims.

    Args:
        frame: of `reports.frame.build_frame`.
        looks: numbers of seeds at which a verdict may be reached, each with its share of `alpha`; without any,
            everything is estimated and nothing decided.
        replicates: TPRs under resampled identities.
        edges: by study and arm, the fields whose tuned value is at the edge of the range that was searched.
    """
    looks, edges = looks or {}, edges or {}
    read = [
        one for study in studies for one in study_estimates(study, frame, replicates, looks, edges.get(study.study))
    ]
    named = dict.fromkeys(name for study in studies for name in study.tested)
    own = {name: study.finding(name) for study in studies for name in study.claims}
    shown = {**findings(), **own}
    by_finding = {name: tuple(one for one in read if one.contrast.finding == name) for name in shown}
    # What no contrast decides is no hypothesis of the report's, and takes no share of its error.
    tested = [name for name in shown if name in named and deciding(by_finding[name])]
    decided = decide_over_looks(_readings([by_finding[name] for name in tested], looks), looks, alpha)
    decisions = dict(zip(tested, decided, strict=True)) if decided else {}
    counted = _Counted(len(tested), tuple(look for one, look in decided if look is not None and one.rejects))
    nothing: tuple[Decision, int | None] = (Decision("inconclusive", 1.0), None)
    shares = {look: alpha * share for look, share in looks.items()}
    return [_verdict(shown[name], by_finding[name], *decisions.get(name, nothing), shares, counted) for name in shown]


def deciding(estimates: Sequence[Estimate]) -> tuple[Estimate, ...]:
    """The estimates that a verdict rests on: those declared to decide, less those that this machine cannot make.

    Weights that cannot be had, images that a pool does not have, and a precision that this hardware does not have, are
    no results: leaving their pairs out does not choose among results. At least one pair must be left.
    """
    declared = tuple(one for one in estimates if one.contrast.decides)
    here = tuple(one for one in declared if not one.unavailable and not one.no_op)
    return here or declared


def _readings(findings_: Sequence[Sequence[Estimate]], looks: Mapping[int, float]) -> dict[int, list[list[Difference]]]:
    """By look, the tests of every finding; none for a finding that cannot be judged or has not that many seeds."""
    readings: dict[int, list[list[Difference]]] = {}
    for look in looks:
        tests = [_tests_at(deciding(estimates), look) for estimates in findings_]
        if any(tests):
            readings[look] = tests
    return readings


def _tests_at(estimates: Sequence[Estimate], look: int) -> list[Difference]:
    if not all(look in one.looks for one in estimates):
        return []
    return [test for one in estimates for test in one.looks[look]]


def _verdict(
    finding: Finding,
    estimates: tuple[Estimate, ...],
    decision: Decision,
    look: int | None,
    shares: Mapping[int, float],
    counted: _Counted,
) -> Verdict:
    """Of one finding.

    Args:
        look: the one that decided.
        shares: of alpha, by look.
    """
    deciders = deciding(estimates)
    if not deciders:
        none = "No contrast of it is declared to decide." if estimates else "No study in this report tests it."
        return Verdict(finding, "not run", none, estimates)
    if missing := next((one.missing for one in deciders if one.missing), ""):
        return Verdict(finding, "not run", missing, estimates)
    if not look and (gated := next((one.gate for one in deciders if one.gate), "")):
        return Verdict(finding, "inconclusive", gated, estimates)
    decider, part = _owner(deciders, decision.decider, look)
    seeds = min(one.tried for one in deciders)
    if not look and (told := _gated_then(deciders, shares, seeds)):
        return Verdict(finding, "inconclusive", told, estimates, open=seeds < max(shares))
    still_open = decision.outcome == "inconclusive" and seeds < max(shares, default=0)
    levels = _levels(shares, seeds, counted, sum(len(one.tests) for one in deciders))
    reason = sentence(decision, deciders, decider, seeds, shares, levels, look=look, part=part)
    return Verdict(
        finding, decision.outcome, reason, estimates, look, decision.adjusted_p if look else None, decider, still_open
    )


def _gated_then(deciders: Sequence[Estimate], shares: Mapping[int, float], seeds: int) -> str:
    """Why the last look that was reached could not be judged, where later seeds could be."""
    reached = max((look for look in shares if look <= seeds), default=0)
    gated = next((one.gates[reached] for one in deciders if reached in one.gates), "")
    return (
        f"At the look of {reached} seeds it could not be judged, and later seeds are no look: {gated}" if gated else ""
    )


@dataclass(frozen=True)
class _Counted:
    """How many findings a report tests, and the looks at which some of them were rejected."""

    tested: int
    rejected: tuple[int, ...]

    def at(self, look: float) -> int:
        """How many hypotheses are left for Holm's procedure."""
        return max(1, self.tested - sum(earlier < look for earlier in self.rejected))


def _levels(shares: Mapping[int, float], seeds: int, counted: _Counted, tests: int) -> Levels:
    """What one of so many tests of a finding takes; of Holm's levels the strictest, that of the first finding."""
    last = shares[max(shares)] if shares else ALPHA
    strictest, each = last / (2 * counted.at(max(shares, default=0))), max(1, tests)
    now = shares[seeds] / (2 * counted.at(seeds)) if seeds in shares else None
    return Levels(claim=strictest, against=strictest / each, exclusion=last / each, now=now)


def _owner(estimates: Sequence[Estimate], index: int | None, look: int | None) -> tuple[Estimate | None, int]:
    """The estimate that the deciding test belongs to, and the test's place in it."""
    if index is None or look is None:
        return None, 0
    return [(one, part) for one in estimates for part in range(len(one.looks[look]))][index]
