"""What a comparison of two reports comes to, as sentences in plain text."""

from __future__ import annotations

from collections.abc import Sequence

from reports.comparison import NO_VERDICT, Comparison
from reports.control import CONTROL
from reports.markdown import listed, number

_REPORTS = ("the first report", "the second report")


def told(found: Comparison) -> list[str]:
    """What is the same, what moved, and whether by chance."""
    return [*_of_verdicts(found), *_of_estimates(found), *_of_alone(found)]


def reasons(found: Comparison) -> list[str]:
    """Why a report reached no verdict on what both test, in its own words: findings of one reason in one sentence."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for pair in found.findings:
        first, second = pair.first, pair.second
        if first is None or second is None:
            continue
        both = (first.verdict, first.reason) == (second.verdict, second.reason)
        shown = [("both reports", first)] if both else zip(_REPORTS, (first, second), strict=True)
        for where, one in shown:
            if one.verdict in NO_VERDICT:
                grouped.setdefault((where, one.verdict, one.reason), []).append(one.label)
    return [
        f"F{_findings(labels)[1:]} {'is' if len(labels) == 1 else 'are'} {verdict} in {where}: {reason}"
        for (where, verdict, reason), labels in grouped.items()
    ]


def _of_verdicts(found: Comparison) -> list[str]:
    reached = sum(pair.reached for pair in found.findings)
    lines = [
        f"{len(found.same)} of {reached} verdicts that were reached in both reports are the same."
        if reached
        else "No verdict was reached in both reports."
    ]
    lines += [f"Finding {pair.either.label}: {pair.verdicts[0]}, then {pair.verdicts[1]}." for pair in found.moved]
    if labels := [pair.either.label for pair in found.findings if pair.open]:
        lines.append(f"Inconclusive in both, which is no agreement: {_findings(labels)}.")
    for place, which in enumerate(_REPORTS):
        if labels := [pair.either.label for pair in found.findings if not pair.verdicts[1 - place]]:
            lines.append(f"Only {which} tests {_findings(labels)}.")
    return lines


def _of_estimates(found: Comparison) -> list[str]:
    read = found.differences
    if not read:
        return [_why_none(found)]
    differ = [pair for pair in read if pair.reading != "alike"]
    mirrored = sum(pair.reading != "not told" for pair in found.estimates) > len(read)
    lines = [
        f"Of {len(read)} contrasts that can be compared, {len(differ)} differ by more than chance, at 95 % and each by "
        f"itself; {number(0.05 * len(read), 1)} are to be expected where nothing differs."
        + (" A contrast and its mirror image count once." if mirrored else "")
    ]
    if opposite := [pair.first for pair in differ if pair.reading == "opposite"]:
        named = ", ".join(f"{found.labels.get(one.finding, one.finding)} ({one.label})" for one in opposite)
        lines.append(f"Opposite, each by more than chance: {named}.")
    repeats = sum(pair.repeats for pair in read)
    many = "All" if repeats == len(read) else str(repeats or "None")
    return [*lines, f"{many} of them are of the same settings and inputs, on other seeds."]


def _why_none(found: Comparison) -> str:
    """Where nothing can be compared; the table has what was estimated, and the control explains no other contrast."""
    if found.alone or any(pair.there for pair in found.estimates if pair.first.study != CONTROL):
        return "No contrast can be compared; the table of estimates says why."
    return "No contrast can be compared: of those in both reports neither has an estimate."


def _of_alone(found: Comparison) -> list[str]:
    counts = [sum(one.report == place for one in found.alone) for place in range(2)]
    there = [(count, which) for count, which in zip(counts, _REPORTS, strict=True) if count]
    if not there:
        return []
    (count, which), *more = there
    start = f"{count} contrast{'s are' if count > 1 else ' is'} in {which} alone"
    rest = "".join(f" and {other} in {where.removesuffix(' report')}" for other, where in more)
    return [f"{start}{rest}, as studies, arms, metrics or claims differ."]


def _findings(labels: Sequence[str]) -> str:
    return f"finding{'s' if len(labels) > 1 else ''} {listed(labels)}"
