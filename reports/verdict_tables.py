"""Verdicts, contrasts and their statistics, tuning and the control, as blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from reports.cells import LESS_IS_BETTER
from reports.claims import Study
from reports.contrasts import Contrast
from reports.estimates import Estimate
from reports.markdown import NONE, brief, code, declared, escape, number
from reports.metrics import decimals, metric_name, told_interval
from reports.page import Block, Table, Text
from reports.reader import Part
from reports.stats import Interval
from reports.verdicts import Verdict

_KINDS = {
    "superiority": "is better",
    "non_inferiority": "is not worse by more than the margin",
    "interaction": "changes the order of the two",
    "trend": "rises from level to level",
    "cost_ratio": "is better, as a ratio",
}
# Where less is better.
_OF_LESS = _KINDS | {"trend": "falls from level to level", "cost_ratio": "costs less, as a ratio"}


def contrast_label(estimate: Estimate, *pairs: tuple[str, str]) -> str:
    """What is subtracted or divided, as inline markdown; of an interaction both pairs, unless `pairs` names some."""
    sign = "/" if estimate.is_ratio else "−"
    told = [f"{code(first)} {sign} {code(second)}" for first, second in pairs or estimate.pairs]
    text = told[0] if len(told) == 1 else " + ".join(f"({one})" for one in told)
    return f"{text} on {escape(metric_name(estimate.metric))}"


def estimate_text(estimate: Estimate) -> str:
    """The estimate with its interval, or a dash."""
    return NONE if estimate.interval is None else _told(estimate, estimate.interval)


def _told(estimate: Estimate, found: Interval) -> str:
    return told_interval(found, estimate.metric, ratio=estimate.is_ratio)


def part_texts(estimate: Estimate) -> list[str]:
    """What was tested, with intervals: of an interaction both differences, as each must be there."""
    return [f"{contrast_label(estimate, pair)}: {_told(estimate, found)}" for pair, found in estimate.shown]


def worth_text(contrast: Contrast) -> str:
    """The effect that is worth having, or the loss that is allowed."""
    digits = decimals(contrast.column)
    if contrast.kind == "non_inferiority":
        return f"margin {declared(contrast.margin, digits)}"
    return f"×{declared(contrast.mark, 2)}" if contrast.is_ratio else declared(contrast.smallest_effect, digits)


def verdict_rows(verdicts: Sequence[Verdict], tuned: Sequence[Verdict]) -> list[Block]:
    """One row a finding of a study: verdict, the sentence, when it was reached and how sure."""
    again = {verdict.finding.id: verdict for verdict in tuned}
    rows = []
    for verdict in verdicts:
        look = f"{verdict.look} seeds" if verdict.look else NONE
        of = verdict.adjusted_p if verdict.verdict != "not reproduced" else None  # that word rests on an interval
        p = NONE if of is None else brief(of)
        row = [escape(verdict.finding.label), f"**{verdict.verdict}**", escape(verdict.reason), look, p]
        rows.append([*row, *([tuned_cell(verdict, again.get(verdict.finding.id))] if tuned else [])])
    header = ["finding", "verdict", "why", "decided at", "adjusted p", *(["with tuned values"] if tuned else [])]
    return [Table.of("verdicts", "Verdicts", header, rows, right=(4,))]


def tuned_cell(verdict: Verdict, tuned: Verdict | None) -> str:
    """The verdict with tuned values, and whether it is another one; one that is not reached contradicts none."""
    if tuned is None or tuned.verdict == "not run":
        return NONE
    unreached = {"inconclusive", "not run"} & {verdict.verdict, tuned.verdict}
    if unreached or tuned.verdict == verdict.verdict:
        return f"**{tuned.verdict}**"
    return f"**{tuned.verdict}**: not robust to tuning"


def contrasts_table(study: Study, estimates: Sequence[Estimate]) -> Table:
    """Every contrast: what it claims, what was seen, what is worth having."""
    rows = []
    for one in estimates:
        contrast = one.contrast
        kinds = _OF_LESS if one.metric in LESS_IS_BETTER else _KINDS
        kind = kinds[contrast.kind] + (f" ({escape(contrast.about)})" if contrast.about else "")
        seeds = str(len(one.seeds)) if one.interval else NONE
        notes = escape(" ".join([one.missing, one.gate, *one.notes]).strip()) or NONE
        label = escape(study.finding(contrast.finding).label) + ("" if contrast.decides else " (beside)")
        rows.append([label, contrast_label(one), kind, estimate_text(one), worth_text(contrast), seeds, notes])
    header = ["finding", "contrast", "the claim", "our estimate [95 % interval]", "worth having", "seeds", "notes"]
    return Table.of("estimates", "Estimates of every contrast", header, rows, right=(5,))


def statistics_table(study: Study, estimates: Sequence[Estimate]) -> Table:
    """What is behind every interval, on the scale that is tested (ratios: logarithms)."""
    rows = [_statistics(study, one, part) for one in estimates for part in one.parts]
    header = [
        "finding", "difference", "SD over seeds", "SE over seeds", "SE over identities", "effect size d",
        "P(A > B) over seeds", "one-sided p", "sign-flip p",
    ]  # fmt: skip
    return Table.of("statistics", "Statistics of every difference", header, rows, right=range(2, len(header)))


def _statistics(study: Study, estimate: Estimate, part: Part) -> list[str]:
    of = part.interval
    several = len(part.differences) > 1
    digits = 4 if estimate.is_ratio else 1 + decimals(estimate.metric)
    return [
        escape(study.finding(estimate.contrast.finding).label), contrast_label(estimate, (part.first, part.second)),
        number(part.seed_sd, digits), number(of.seed_se, digits),
        number(of.identity_se, digits) if of.over_identities else NONE,
        _finite(part.effect_size), number(part.share_above, 2),
        brief(of.p_above(estimate.contrast.null)) if several else NONE,
        _p_of_flips(part.sign_flip_p(estimate.contrast.null)) if several else NONE,
    ]  # fmt: skip


def _p_of_flips(p: float) -> str:
    """With few seeds one of few values, such as 0.031; with many it may be smaller than three digits tell."""
    return number(p, 3) if p >= 0.0005 else brief(p)


def _finite(value: float) -> str:
    return number(value, 2) if math.isfinite(value) else NONE


def control_line(control: Estimate | None) -> str:
    """What the baseline against itself showed, as a sentence with the word that counts in bold."""
    if control is None:
        return "No A/A control was asked for."
    if control.interval is None:
        return f"A/A control: {escape(control.missing)}"
    told = f"the baseline on other seeds differs from itself by {estimate_text(control)} on "
    told += escape(metric_name(control.metric))
    if math.isnan(control.interval.low):
        return f"A/A control: {told}. {escape(control.gate)}".rstrip()
    clean = control.interval.low <= 0 <= control.interval.high
    if clean and control.gate:  # what could not have differed is no sign of a pipeline that finds nothing
        return f"A/A control, **not judged**: {told}. {escape(control.gate)}"
    word = "**clean**" if clean else "**not clean: differences of this size are noise here**"
    return f"A/A control, {word}: {told}. Its seeds are not paired, so it is noisier than the contrasts are."


def tuning_blocks(found: Mapping[str, Mapping[str, Any]]) -> list[Block]:
    """The values that were found for every arm, and whether the search would have gone on."""
    if not found:
        return []
    rows = []
    for arm, record in found.items():
        values = ", ".join(code(f"{name}={value:.4g}") for name, value in (record.get("values") or {}).items()) or NONE
        trials = str(len(record.get("trials", ())))
        edge = ", ".join(code(name) for name in record.get("at_edge", ())) or NONE
        best, preset = (record.get(name) for name in ("value", "preset_value"))
        shown = [number(value, 3) if isinstance(value, int | float) else NONE for value in (preset, best)]
        rows.append([code(arm), trials, *shown, values, edge])
    header = ["arm", "trials", "the preset's values", "the best", "chosen", "at the edge of its range"]
    text = (
        "## Tuning\n\nEvery arm had the same number of trials, at the same points of one low-discrepancy sequence, "
        "judged by TPR@1e-3 on validation identities. A value at the edge of its range might have gone on: "
        "read its arm with care."
    )
    return [Text(text), Table.of("tuning", "Tuned values of every arm", header, rows, right=(1, 2, 3))]


def study_links(studies: Sequence[str]) -> str:
    """Links to the pages of studies."""
    return ", ".join(f"[{escape(study)}]({study}.md)" for study in studies) or NONE
