"""The first page of a report: what was run, and one row for every finding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reports.cells import LEFT_OUT, PAIRS, STATES, UNTRAINED, VALIDATION
from reports.claims import Finding, record
from reports.folders import TITLE
from reports.markdown import NONE, code, escape, number
from reports.material import Material
from reports.metrics import metric_name, supported_metric
from reports.page import Block, Figure, Table, Text
from reports.study_page import PUBLISHED_NOTE
from reports.tables import machines
from reports.verdict_tables import control_line, part_texts, study_links, tuned_cell
from reports.verdicts import VERDICTS, Verdict, deciding

_FLOOR, _CEILING = 0.2, 0.95  # validation TPR@1e-3 outside leaves differences no room
_READING = """## How to read this

- **TPR@1e-4** is the share of same-document pairs that are accepted at a threshold at which 1 in 10,000 pairs of
  different documents is accepted (the false positive rate, FPR); TPR@1e-3 and TPR@1e-2 are the same at 1 in 1,000 and
  1 in 100, and are read where a test set is too small for less. Higher is better; 1 is perfect.
- Every claim is a difference between arms that was declared before results, with the smallest effect worth having.
  Arms are compared seed by seed; an interval covers the variation over seeds and over the documents of the test set.
- **reproduced**: every difference of the claim is there and large enough. **contradicted**: one of them is as large the
  other way. **not reproduced**: an effect worth having is excluded. **inconclusive**: none of these can be said, and
  the reason is. **not run**: a run that the claim needs is not there.
- All findings together are wrongly called reproduced or contradicted in at most 5 of 100 reports (Holm's procedure)."""


def index_page(
    material: Material, run: Mapping[str, str], figures: Sequence[Figure] = (), notes: Sequence[str] = ()
) -> list[Block]:
    """The whole page; `run` holds `preset`, `command`, `data_note` and `store_digest`; `figures` show the findings.

    `notes` are those of `reports.pages.write_report`.
    """
    about = "Thirteen documented findings on margin losses and embedding models for document images, measured again."
    return [
        Text(f"# {TITLE} {code(run['preset'])}"),
        *([Text(about)] if _of_the_record(material) else []),
        *_findings(material),
        *figures,
        Text(control_line(material.control)),
        Text(_READING),
        Text(_what_was_run(material, run, notes)),
        Text(_health(material)),
        *_runs(material.frame, material.rocs.attrs["unreadable"]),
        Text(_studies(material)),
    ]


def _of_the_record(material: Material) -> bool:
    """Whether a documented finding is tested, and not only claims of one's own, of which nothing is published."""
    return any(verdict.finding.documented for verdict in material.tested)


def _findings(material: Material) -> list[Block]:
    again = {verdict.finding.id: verdict for verdict in material.tuned_verdicts}
    tested = material.tested
    named = {verdict.finding.id for verdict in tested}
    of_record = _of_the_record(material)
    untested = _untested([verdict for verdict in material.verdicts if verdict.finding.id not in named])
    if not tested:
        return [Text("## Findings\n\nNone is tested."), *untested]
    tuned = ["with tuned values"] if again else []
    theirs = ["published TPR@1e-4"] if of_record else []
    header = ["#", "claim", "verdict", *tuned, "in one sentence", "ours [95 % interval]", *theirs, "study"]
    counts = Counter(verdict.verdict for verdict in tested)
    told = ", ".join(f"{counts[word]} {word}" for word in VERDICTS if counts[word])
    rows = [_finding_row(verdict, again, of_record) for verdict in tested]
    return [
        Text(f"## Findings\n\n{told}.{f' {PUBLISHED_NOTE}' if of_record else ''}"),
        Table.of("findings", "Findings and verdicts", header, rows, right=(0,)),
        *(untested if of_record else []),
    ]


def _untested(verdicts: Sequence[Verdict]) -> list[Block]:
    if not verdicts:
        return []
    numbers = ", ".join(escape(verdict.finding.label) for verdict in verdicts)
    return [Text(f"No study of this report tests findings {numbers}.")]


def _finding_row(verdict: Verdict, again: Mapping[str, Verdict], of_record: bool) -> list[str]:
    finding = verdict.finding
    shown = [one for one in deciding(verdict.estimates) if one.interval is not None]
    ours = "<br>".join(text for one in shown for text in part_texts(one)) or NONE
    told = [f"**{verdict.verdict}**", *([tuned_cell(verdict, again.get(finding.id))] if again else [])]
    theirs = [published(finding) if finding.documented else NONE] if of_record else []
    said = [escape(finding.label), escape(finding.claim), *told, escape(verdict.reason)]
    return [*said, ours, *theirs, study_links(verdict.studies)]


def _what_was_run(material: Material, run: Mapping[str, str], notes: Sequence[str]) -> str:
    frame, results = material.frame, material.results
    done = frame[frame["state"] == "done"]
    lines = [f"Command: {code(run['command'])}", f"Data: {escape(run['data_note']) or NONE}"]
    lines += [f"Note: {escape(note)}" for note in notes]
    if done.empty:
        lines.append("No run is done yet.")
    else:
        lines += [_test_line(done), f"Seeds: {', '.join(str(seed) for seed in sorted(set(done['seed'])))}"]
        lines += [_device_line(done), _version_line(results)]
    looks = ", ".join(f"{look} seeds ({share:.0%} of alpha)" for look, share in sorted(material.looks.items()))
    lines.append(f"Verdicts are reached at: {looks or 'no number of seeds; this preset only tries things out'}")
    digests = ", ".join(f"{code(study.study)} {code(study.digest)}" for study in material.studies)
    lines.append(f"Claims, by digest: {digests}")
    lines.append(f"Runs, by digest of them all: {code(run.get('store_digest', '') or NONE)}")
    return "## What was run\n\n" + "\n".join(f"- {line}" for line in lines)


def _test_line(done: pd.DataFrame) -> str:
    expected = ", ".join(f"{_range(done[column])} at FPR {name.split('@')[1]}" for name, column in PAIRS.items())
    told = "none of whose images was trained on"
    if (alike := done["alike"].dropna()).any():  # other files all the same
        told = f"none of whose files was trained on, but {_range(alike)} look like an image that may have been"
    identities = f"{_range(done['identities'])} identities, {told}"
    return f"Test set: {identities}; expected independent false positives (pairs of identities): {expected}"


def _range(values: pd.Series) -> str:
    low, high = float(values.min()), float(values.max())
    return number(low, 0) if low == high else f"{number(low, 0)} to {number(high, 0)}"


def _device_line(done: pd.DataFrame) -> str:
    shown = machines(done)
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


def _health(material: Material) -> str:
    """Whether the baselines left room above and below, and whether training did them any good."""
    done = material.frame[material.frame["state"] == "done"]
    shared: dict[tuple[str, ...], list[str]] = {}
    for study in material.studies:
        rows = done[(done["study"] == study.study) & (done["arm"] == study.baseline)]
        shared.setdefault(tuple(sorted(rows["key"])), []).append(study.study)
    lines = [
        f"- {', '.join(code(name) for name in names)}: {_health_of(done[done['key'].isin(keys)])}"
        for keys, names in shared.items()
    ]
    return "## Is the baseline healthy?\n\nOn validation identities, at the end of training.\n\n" + "\n".join(lines)


def _health_of(rows: pd.DataFrame) -> str:
    rows = rows.drop_duplicates("key")
    values = rows[VALIDATION].dropna()
    if values.empty:
        return "the baseline has no finished run."
    mean, before = float(values.mean()), float(rows[UNTRAINED].mean())
    told = f"TPR@1e-3 {mean:.3f} over {len(values)} seed{'s' if len(values) > 1 else ''}"
    if mean < _FLOOR:
        told += f"; **warning: at the floor** (under {_FLOOR}): hardly trained, so differences mean little."
    elif mean > _CEILING:
        told += f"; **warning: at the ceiling** (over {_CEILING}): too easy, so differences cannot show."
    else:
        told += f"; healthy, between {_FLOOR} and {_CEILING}."
    metric, _ = supported_metric("tpr@1e-4", rows)
    told += (
        f" On test identities it has {metric_name(metric)} {float(rows[metric].mean()):.3f}: differences are of that."
    )
    end, plateau = float(rows["loss_end"].mean()), float(rows["loss_plateau"].mean())
    if end >= plateau:
        told += (
            f" **Warning: its loss ({end:.1f}) has not come down from the plateau ({plateau:.1f})** of a slow start."
        )
    if mean < before:
        told += (
            f" **Training has not paid yet**: before its first step the embedder reaches {before:.3f}, from its "
            "pretrained backbone alone. Arms differ in how they train, at this budget, not in how well they would end."
        )
    return told


def _runs(frame: pd.DataFrame, unreadable_scores: Mapping[str, str]) -> list[Block]:
    """Counts by state, a shared run once, and every run that is not done for a reason."""
    runs = frame[frame["key"].notna()].drop_duplicates("key")
    counts = runs["state"].value_counts()
    told = ", ".join(f"{counts[state]} {state}" for state in STATES if state in counts) or "none"
    text = f"## Runs\n\n{len(runs)} different runs: {told}. A run that several studies share is counted once."
    if LEFT_OUT in counts:
        text += " Left out are runs of arms that no verdict rests on: the command asks for the others alone."
    blocks: list[Block] = [Text(text)]
    wrong = runs[runs["state"].isin(["failed", "damaged", "newer"])]
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


def _studies(material: Material) -> str:
    lines = []
    for study in material.studies:
        states = material.frame.loc[material.frame["study"] == study.study, "state"]
        done, asked = int((states == "done").sum()), int((states != LEFT_OUT).sum())
        lines.append(f"- [{escape(study.title)}]({study.study}.md): {escape(study.question)} ({done} of {asked} done)")
    return "## Studies\n\n" + "\n".join(lines)
