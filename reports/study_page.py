"""The page of one study, as blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from core.store import Store
from reports.cells import LEFT_OUT, STATES
from reports.claims import Study
from reports.markdown import NONE, brief, code, escape
from reports.material import Material
from reports.metrics import primary_metric
from reports.page import Block, Figure, Table, Text
from reports.runs import number_at
from reports.tables import arm_table, cost_table, difference_table, machines, weak_note
from reports.verdict_tables import contrasts_table, statistics_table, tuning_blocks, verdict_rows

UNSTEADY = 1.5  # times the slowest of equal runs: beyond, times are of the machine and not of arms
PUBLISHED_NOTE = (
    "Published values are from one run each, on a private test set of 7 identities, with the checkpoint selected on "
    "that test set: compare their order with ours, not their size."
)


def study_page(
    study: Study, material: Material, figures: Mapping[str, Figure], extra: Sequence[Block], store: Store
) -> list[Block]:
    """The whole page.

    Args:
        figures: what is drawn, by kind: `contrasts` and `cost` stand in their sections, the others after the arms.
        extra: a section of its own after the costs.
        store: that the commands which repeat a run name.
    """
    frame = material.frame[material.frame["study"] == study.study]
    blocks: list[Block] = [
        Text(f"# {escape(study.title)}\n\n[All findings](index.md) · study {code(study.study)}"),
        Text(escape(study.question)),
        *_claims(study),
        *_verdicts(study, material),
        *_contrasts(study, material, figures),
    ]
    if (frame["state"] == "done").any():
        blocks += [
            *_arms(study, frame),
            *(figure for kind, figure in figures.items() if kind not in ("contrasts", "cost")),
            *_costs(study, frame, material.results, figures),
        ]
    else:
        text = "## Nothing is done yet\n\nNo run of this study has finished, so there is nothing to show."
        blocks.append(Text(text))
    footer = (
        f"Claim digest {code(study.digest)}: a digest of this study's declaration, arms and contrasts included. "
        "If it differs between two reports, the claims were changed in between."
    )
    return [
        *blocks,
        *extra,
        *tuning_blocks(material.tuning.get(study.study, {})),
        *_differences(study, frame),
        *_manipulation(study, frame),
        *_confounds(study),
        *_runs(study, frame, store),
        *_tuned_runs(study, material.tuned, store),
        Text(f"---\n\n{footer}"),
    ]


def _claims(study: Study) -> list[Block]:
    if not study.tested:
        return []
    lines = []
    for finding in (study.finding(name) for name in study.tested):
        if not finding.documented:
            lines.append(f"- Claim {code(finding.id)} of this study: {escape(finding.claim)}.")
            continue
        source = "results page" if finding.source == "S" else f"release 0.{finding.source.removeprefix('V')}.0"
        lines.append(f"- Finding {finding.label} ({source}): {escape(finding.claim)}.")
    return [Text("## What is claimed\n\n" + "\n".join(lines))]


def _verdicts(study: Study, material: Material) -> list[Block]:
    if not study.tested:
        return []
    own, again = (
        [verdict for verdict in verdicts if verdict.finding.id in study.tested]
        for verdicts in (material.verdicts, material.tuned_verdicts)
    )
    return [Text("## Verdicts"), *verdict_rows(own, again)]


def _contrasts(study: Study, material: Material, figures: Mapping[str, Figure]) -> list[Block]:
    estimates = material.estimates(study)
    if not estimates:
        return []
    text = (
        "## Contrasts\n\nEach contrast is paired over the seeds that all of its arms have, and oriented so that the "
        "claim lies above zero (for ratios, above 1). Those marked *beside* are shown with a finding and do not decide "
        "on it."
    )
    drawn = [figures["contrasts"]] if "contrasts" in figures else []
    statistics = statistics_table(study, estimates)
    behind = (
        "An interval has two parts: variation over seeds, and over the test identities (bootstrap; none of a cost, and "
        "0.0000 where no more than that over seeds already holds was seen). "
        "Effect size d is the mean difference over its SD, P(A > B) the share of seeds with the first arm ahead. "
        "Both p are one-sided, of the claim, and not adjusted for other findings; that of flipped signs, a check, is "
        "never under 2^-n with n seeds (beyond 18, of random flips, never under 0.00005). "
        "Ratios are by their logarithms."
    )
    rest: list[Block] = [Text(behind), statistics] if statistics.rows else []
    return [Text(text), *drawn, contrasts_table(study, estimates), *rest]


def _arms(study: Study, frame: pd.DataFrame) -> list[Block]:
    _, note = primary_metric(study, frame)
    text = (
        "## Arms\n\nMean ± standard deviation over an arm's own seeds, on test identities. Arms may have other seeds: "
        "hold the differences to one another, not the means. They are paired over the seeds that both arms have, with "
        "a 95 % interval over seeds alone, narrower than a contrast's. "
    )
    text += f"{escape(note)} " if note else ""
    text += PUBLISHED_NOTE if any(arm.published for arm in study.arms.values()) else ""
    weak = weak_note(study, frame)
    return [Text(text.strip()), arm_table(study, frame), *([Text(escape(weak))] if weak else [])]


def _costs(
    study: Study, frame: pd.DataFrame, results: Mapping[str, Mapping[str, Any]], figures: Mapping[str, Figure]
) -> list[Block]:
    note = "Means over seeds. Parameters, size and GFLOPs (of one image) are of the embedder, without class centres."
    text = f"## Cost\n\n{note}{_unsteady(study, frame)}{_overflows(study, frame, results)}"
    drawn = [figures["cost"]] if "cost" in figures else []
    return [Text(text), cost_table(study, frame), *drawn]


def _unsteady(study: Study, frame: pd.DataFrame) -> str:
    """Whether times tell little of arms: those of several machines, or of one that had other work beside equal runs."""
    if len(shown := machines(frame[frame["state"] == "done"])) > 1:
        return (
            f" The runs are of different hardware ({escape('; '.join(shown))}): means of times, speeds and memory tell "
            "nothing of arms."
        )
    rates = frame[(frame["arm"] == study.baseline) & (frame["state"] == "done")]["samples_per_second"].dropna()
    if rates.empty or rates.max() < UNSTEADY * rates.min():
        return ""
    return (
        f" The baseline's own runs went at {rates.min():,.0f} to {rates.max():,.0f} samples/s, as the machine had "
        "other work at times: speeds and seconds of arms are no more certain than that; GFLOPs are."
    )


def _overflows(study: Study, frame: pd.DataFrame, results: Mapping[str, Mapping[str, Any]]) -> str:
    """Arms whose batches had more classes than PartialFC samples: their steps had no negatives of other images."""
    told = []
    for arm in study.arms:
        keys = frame[(frame["arm"] == arm) & (frame["state"] == "done")]["key"]
        steps = sum(number_at(results.get(key, {}), "cost.overflow_steps") for key in keys)
        if steps > 0:
            told.append(f"{code(arm)} ({steps:,.0f} in {len(keys)} run{'s' if len(keys) > 1 else ''})")
    if not told:
        return ""
    return f" Steps whose batch had more classes than PartialFC samples, so that none were drawn: {', '.join(told)}."


def _differences(study: Study, frame: pd.DataFrame) -> list[Block]:
    note = "An arm changes its declared fields and nothing else; what those bring with them is beside them."
    return [Text(f"## What differs\n\n{note}"), difference_table(study, frame)]


def _manipulation(study: Study, frame: pd.DataFrame) -> list[Block]:
    """Whether each precision changed the arithmetic, for studies that vary it."""
    if not any("precision.mode" in arm.set for arm in study.arms.values()):
        return []
    done = frame[(frame["state"] == "done") & frame["precision"].notna()]
    lines = []
    for (arm, mode, device), rows in done.groupby(["arm", "precision", "device"], sort=False):
        ours, reference = (brief(rows[name].median()) for name in ("precision_error", "precision_reference"))
        changed = rows["precision_took_effect"].map(lambda value: value is True).all()
        told = "the arithmetic changed" if changed else "the arithmetic did not change on this hardware"
        if mode == "highest":
            told = "this is the reference arithmetic"
        lines.append(
            f"- {code(arm)}, {escape(mode)} on {escape(device)}: {told} (relative error {ours} against {reference})."
        )
    if not lines:
        return []
    intro = "The error of a linear layer against float64, in the arm's precision against that at the highest."
    return [Text(f"## Did the precision take effect?\n\n{intro}\n\n" + "\n".join(lines))]


def _confounds(study: Study) -> list[Block]:
    if not study.confounds:
        return []
    lines = "\n".join(f"- {escape(line)}" for line in study.confounds)
    of_record = any(study.finding(name).documented for name in study.tested)
    heading = "What the record does not control for" if of_record else "What is not controlled for"
    return [Text(f"## {heading}\n\n{lines}")]


def _runs(study: Study, frame: pd.DataFrame, store: Store) -> list[Block]:
    if frame.empty:
        return [Text("## Runs\n\nNo run of this study was asked for.")]
    intro = (
        f"{_counts(frame)}. `python -m ablations run CONFIGURATION --store again` repeats one, "
        "`python -m ablations run-info KEY` shows it whole."
    )
    return [Text(f"## Runs\n\n{intro}"), _run_table("runs", "Runs of every arm and seed", study, frame, store)]


def _tuned_runs(study: Study, tuned: pd.DataFrame, store: Store) -> list[Block]:
    rows = tuned[tuned["study"] == study.study]
    if rows.empty:
        return []
    text = f"### Runs with the tuned values\n\n{_counts(rows)}."
    return [Text(text), _run_table("tuned-runs", "Runs with the tuned values", study, rows, store)]


def _counts(frame: pd.DataFrame) -> str:
    counts = frame["state"].value_counts()
    return ", ".join(f"{counts[state]} {state}" for state in STATES if state in counts)


def _run_table(slug: str, title: str, study: Study, frame: pd.DataFrame, store: Store) -> Table:
    """Every run that was asked for, or is there."""
    rows = []
    told = frame[frame["state"] != LEFT_OUT]
    for arm in study.arms:
        for _, row in told[told["arm"] == arm].sort_values("seed").iterrows():
            key = row["key"]
            shown, repeat = (NONE, NONE) if pd.isna(key) else (code(key), code(store.path(key, "config.yaml")))
            state = [code(arm), str(row["seed"]), row["state"], shown]
            rows.append([*state, repeat if row["state"] in ("done", "failed") else NONE, escape(row["reason"]) or NONE])
    return Table.of(slug, title, ["arm", "seed", "state", "key", "configuration", "reason"], rows, right=(1,))
