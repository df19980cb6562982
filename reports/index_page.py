"""The first page of a report: what was run, and one row for every finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reports.claims import Finding, Study, findings, record
from reports.frame import PAIRS, STATES, VALIDATION
from reports.markdown import NONE, code, escape, number
from reports.page import Block, Table, Text
from reports.study_page import PUBLISHED_NOTE, contrast_label, estimate_text
from reports.verdicts import Verdict

_FLOOR, _CEILING = 0.2, 0.95  # validation TPR@1e-3 outside leaves differences no room
_READING = """## How to read this

- **TPR@1e-4** is the share of same-document pairs that are accepted at a threshold at which 1 in 10,000 pairs of
  different documents is accepted (the false positive rate, FPR). Higher is better; 1 is perfect.
- Arms are compared seed by seed. An estimate is a mean difference over seeds, with a 95 % interval that covers the
  variation between seeds, not that between test documents: **these are estimates, and none of them is a judgement**.
- Of a finding this version says only *not run* (a run that it needs is not there) or *inconclusive* (the runs are
  there; nothing is decided)."""


def index_page(
    studies: Sequence[Study],
    frame: pd.DataFrame,
    verdicts: Sequence[Verdict],
    results: Mapping[str, Mapping[str, Any]],
    unreadable_scores: Mapping[str, str],
    run: Mapping[str, str],
) -> list[Block]:
    """The whole page; `run` holds `preset`, `command` and `data_note`."""
    return [
        Text(f"# Ablation report: preset {code(run['preset'])}"),
        Text("Thirteen documented findings on margin losses and embedding models for document images, measured again."),
        Text(_what_was_run(frame, results, run)),
        Text(_READING),
        *_findings(verdicts),
        Text(_health(studies, frame)),
        *_runs(frame, unreadable_scores),
        Text(_studies(studies, frame)),
    ]


def _what_was_run(frame: pd.DataFrame, results: Mapping[str, Mapping[str, Any]], run: Mapping[str, str]) -> str:
    done = frame[frame["state"] == "done"]
    lines = [f"Command: {code(run['command'])}", f"Data: {escape(run['data_note']) or NONE}"]
    if done.empty:
        lines.append("No run is done yet.")
    else:
        lines += [_test_line(done), f"Seeds: {', '.join(str(seed) for seed in sorted(set(done['seed'])))}"]
        lines += [_device_line(done), _version_line(results)]
    return "## What was run\n\n" + "\n".join(f"- {line}" for line in lines)


def _test_line(done: pd.DataFrame) -> str:
    expected = ", ".join(f"{_range(done[column])} at FPR {name.split('@')[1]}" for name, column in PAIRS.items())
    identities = f"{_range(done['identities'])} identities, none of them trained on"
    return f"Test set: {identities}; expected independent false positives (pairs of identities): {expected}"


def _range(values: pd.Series) -> str:
    low, high = float(values.min()), float(values.max())
    return number(low, 0) if low == high else f"{number(low, 0)} to {number(high, 0)}"


def _device_line(done: pd.DataFrame) -> str:
    devices = dict.fromkeys(zip(done["device"], done["hardware"], strict=True))
    shown = [" on ".join(str(one) for one in pair if not pd.isna(one)) for pair in devices]
    several = " (times of different hardware cannot be compared)" if len(shown) > 1 else ""
    return f"Hardware: {escape('; '.join(shown))}{several}"


def _version_line(results: Mapping[str, Mapping[str, Any]]) -> str:
    environments = [result.get("environment") or {} for result in results.values()]
    shown = []
    for name in ("python", "torch", "timm", "numpy", "code"):
        known = sorted({str(one[name]) for one in environments if one.get(name)})
        if known:
            shown.append(f"{name} {escape(' and '.join(known))}")
    return f"Versions: {', '.join(shown) or NONE}"


def _findings(verdicts: Sequence[Verdict]) -> list[Block]:
    rows = []
    for verdict in verdicts:
        finding = findings()[verdict.finding]
        links = ", ".join(f"[{escape(study)}]({study}.md)" for study in verdict.studies) or NONE
        ours = "<br>".join(f"{contrast_label(one)}: {estimate_text(one)}" for one in verdict.estimates) or NONE
        said = [f"**{verdict.verdict}**", escape(verdict.reason)]
        rows.append([finding.label, escape(finding.claim), published(finding), links, ours, *said])
    header = [
        "#",
        "the record claims",
        "published TPR@1e-4",
        "study",
        "our estimates [95 % interval]",
        "verdict",
        "why",
    ]
    return [
        Text(f"## Findings\n\n{PUBLISHED_NOTE}"),
        Table.of("findings", "Findings and verdicts", header, rows, right=(0,)),
    ]


def published(finding: Finding) -> str:
    """The published numbers that carry a finding; a row that names a table of the record stands for all of it."""
    tables = record()["rows"]
    shown: list[str] = []
    for row in finding.rows:
        if row in tables:
            shown += [f"{name:,}: {cells['tpr']:.3f}" if isinstance(name, int) else f"{name}: {cells['tpr']:.3f}"
                      for name, cells in tables[row].items()]  # fmt: skip
        else:
            shown.append(row)
    return "<br>".join(escape(one) for one in shown) or "in words only"


def _health(studies: Sequence[Study], frame: pd.DataFrame) -> str:
    """Whether the baselines left room above and below: at the floor or ceiling nothing can differ."""
    done = frame[frame["state"] == "done"]
    shared: dict[tuple[str, ...], list[str]] = {}
    for study in studies:
        rows = done[(done["study"] == study.study) & (done["arm"] == study.baseline)]
        shared.setdefault(tuple(sorted(rows["key"])), []).append(study.study)
    lines = []
    for keys, names in shared.items():
        of = ", ".join(code(name) for name in names)
        values = done[done["key"].isin(keys)].drop_duplicates("key")[VALIDATION].dropna()
        if values.empty:
            lines.append(f"- {of}: the baseline has no finished run.")
            continue
        mean = float(values.mean())
        told = f"TPR@1e-3 {mean:.3f} over {len(values)} seed{'s' if len(values) > 1 else ''}"
        if mean < _FLOOR:
            verdict = f"**warning: at the floor** (under {_FLOOR}): hardly trained, so differences mean little"
        elif mean > _CEILING:
            verdict = f"**warning: at the ceiling** (over {_CEILING}): too easy, so differences cannot show"
        else:
            verdict = f"healthy, between {_FLOOR} and {_CEILING}"
        lines.append(f"- {of}: {told}; {verdict}.")
    return "## Is the baseline healthy?\n\nOn validation identities, at the end of training.\n\n" + "\n".join(lines)


def _runs(frame: pd.DataFrame, unreadable_scores: Mapping[str, str]) -> list[Block]:
    """Counts by state, a shared run once, and every run that is not done for a reason."""
    runs = frame[frame["key"].notna()].drop_duplicates("key")
    counts = runs["state"].value_counts()
    told = ", ".join(f"{counts[state]} {state}" for state in STATES if state in counts) or "none"
    text = f"## Runs\n\n{len(runs)} different runs: {told}. A run that several studies share is counted once."
    blocks: list[Block] = [Text(text)]
    wrong = runs[runs["state"].isin(["failed", "unreadable"])]
    if len(wrong):
        header = ["key", "study", "arm", "seed", "state", "reason"]
        rows = [
            [*(code(row[name]) for name in header[:3]), str(row["seed"]), row["state"], escape(row["reason"])]
            for _, row in wrong.iterrows()
        ]
        blocks.append(Table.of("runs", "Runs that failed or cannot be read", header, rows, right=(3,)))
    absent = frame[frame["state"] == "unavailable"].drop_duplicates(["study", "arm"])
    if len(absent):
        lines = [
            f"- {code(row['arm'])} of {code(row['study'])}: {escape(row['reason'])}" for _, row in absent.iterrows()
        ]
        blocks.append(Text("Arms that cannot be run here:\n\n" + "\n".join(lines)))
    if unreadable_scores:
        lines = [f"- {code(key)}: {escape(reason)}" for key, reason in unreadable_scores.items()]
        blocks.append(Text("Runs whose ROC is left out of the figures:\n\n" + "\n".join(lines)))
    return blocks


def _studies(studies: Sequence[Study], frame: pd.DataFrame) -> str:
    lines = []
    for study in studies:
        states = frame.loc[frame["study"] == study.study, "state"]
        done = int((states == "done").sum())
        lines.append(
            f"- [{escape(study.title)}]({study.study}.md): {escape(study.question)} ({done} of {len(states)} done)"
        )
    return "## Studies\n\n" + "\n".join(lines)
