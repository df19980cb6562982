"""The calibration as a page: how often verdicts are wrong, how often right, and whether intervals cover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scipy.stats import binomtest

from reports.calibration import Calibration
from reports.claims import Finding, findings
from reports.coverage import Coverage, Setting
from reports.decision import ALPHA, OUTCOMES
from reports.markdown import code, escape, table

TITLE = "# Calibration of the verdicts"


def calibration_page(
    calibration: Calibration,
    claims: Mapping[str, Finding],
    looks: Mapping[int, float],
    coverages: Sequence[tuple[Setting, Coverage]],
    command: str,
    source: str = "the store",
) -> str:
    """The whole page, as markdown; `claims` names the findings, `command` is what repeats it, `source` has the runs."""
    parts = [TITLE, _intro(calibration, looks, command, source), _false(calibration)]
    parts.append(_power(calibration, claims))
    if coverages:
        parts.append(_coverage(coverages))
    return "\n\n".join(parts) + "\n"


def _intro(calibration: Calibration, looks: Mapping[int, float], command: str, source: str) -> str:
    assumed = [name for name, measured in calibration.measured.items() if not measured]
    named = escape(source)
    variation = f"The variation over seeds and identities is measured in the runs of {named}"
    if len(assumed) == len(calibration.measured):
        variation = (
            f"{named[0].upper()}{named[1:]} has no two seeds of any contrast, so the variation over seeds and "
            "identities is assumed"
        )
    elif assumed:
        variation += f", but assumed for {', '.join(_label(name) for name in assumed)}, which lack two seeds"
    told = " and ".join(f"{look} seeds ({share:.0%} of alpha)" for look, share in sorted(looks.items()))
    return (
        f"{calibration.reports:,} whole reports are simulated for each size of effect, with the real findings, "
        f"contrasts, shared arms and looks at {told}. {variation}; over identities it is drawn for each contrast by "
        f"itself, though contrasts with an arm in common share it. Made by {code(command)}."
    )


def _false(calibration: Calibration) -> str:
    low, high = binomtest(calibration.false, calibration.reports).proportion_ci(0.95)
    share = calibration.false / calibration.reports
    return (
        "## False verdicts\n\n"
        f"Where no claim has any effect, {calibration.false} of {calibration.reports:,} reports "
        f"({share:.1%}, 95 % interval {low:.1%} to {high:.1%}) call at least one finding reproduced or contradicted. "
        f"The rule allows {ALPHA:.0%} over all findings and both directions together. "
        "A claim to keep performance has no effect where exactly its margin is lost; beside a claim that something is, "
        "where nothing is lost."
    )


def _power(calibration: Calibration, claims: Mapping[str, Finding]) -> str:
    effects = list(calibration.outcomes)
    rows = []
    order = [*findings(), *claims]  # the record's order, then the studies' own claims
    for name in sorted(calibration.outcomes[effects[0]], key=order.index):
        cells = [_shares(calibration, effect, name) for effect in effects]
        rows.append([escape(claims[name].label), escape(claims[name].claim), *cells])
    header = ["#", "claim", *(_effect(effect) for effect in effects)]
    note = (
        "Shares of reports by verdict: reproduced / contradicted / not reproduced / inconclusive. Effects are in units "
        "of the smallest effect worth having (for keeping performance: of the margin, from its edge; for losing a "
        "little, but no more than a margin: of the loss, so that the claim is no longer true where the margin is "
        "reached). An effect of exactly 1 is called reproduced in about half of the reports, more or less by the "
        "number of looks and of differences, since the estimate must reach it, at whichever look."
    )
    return f"## What is found\n\n{note}\n\n{table(header, rows, right=range(2, len(header)))}"


def _shares(calibration: Calibration, effect: float, name: str) -> str:
    counts = calibration.outcomes[effect][name]
    return " / ".join(f"{counts[outcome] / calibration.reports:.2f}" for outcome in OUTCOMES)


def _effect(effect: float) -> str:
    return "no effect" if effect == 0 else f"effect {effect:g}"


def _coverage(coverages: Sequence[tuple[Setting, Coverage]]) -> str:
    rows = [_coverage_row(setting, found, n) for setting, found in coverages for n in found.both]
    header = ["identities x captures", "FPR", "SD over seeds", "SE over identities", "seeds", "both (ours)"]
    header += ["seeds alone", "identities alone"]
    return (
        "## Do the intervals cover?\n\n"
        f"Share of 95 % intervals that hold the true difference, over {coverages[0][1].replications:,} comparisons of "
        "two equal embedders, each with fresh identities and fresh seeds.\n\n"
        + table(header, rows, right=range(2, len(header)))
    )


def _coverage_row(setting: Setting, found: Coverage, n: int) -> list[str]:
    shares = [f"{share[n]:.3f}" for share in (found.both, found.seeds_alone, found.identities_alone)]
    spread = [f"{found.seed_sd:.3f}", f"{found.identity_se:.3f}"]
    return [f"{setting.identities} x {setting.captures}", f"{setting.fpr:g}", *spread, str(n), *shares]


def _label(name: str) -> str:
    return f"finding {findings()[name].label}" if name in findings() else f"claim {escape(name)}"
