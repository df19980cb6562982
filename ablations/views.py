"""What `list`, `show` and `plan` print: plain data first, then how it looks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ablations import terminal
from ablations.options import Chosen
from ablations.planner import Plan, Run
from ablations.preset import load_preset, preset_names
from ablations.registry import LoadedStudy, load_study, study_names
from ablations.retry import worth_trying
from ablations.store_views import UNUSABLE
from ablations.workload import effort, effort_told, preparation_notes
from core.inputs import corpus_of
from reports.claims import Study, findings
from reports.contrasts import Contrast
from reports.markdown import NONE


def list_facts(plans: Mapping[str, Plan], notes: Sequence[str]) -> dict[str, Any]:
    """Studies with their findings, arms and how many planned runs are done; presets; findings.

    A study without a plan cannot be run here, as `notes` say: it has no numbers.
    """
    studies = []
    for name in study_names():
        study = load_study(name).study
        planned = plans.get(name)
        states = {run.key: run.state for run in planned.runs} if planned else {}
        done = Counter(states[cell.key] for cell in planned.cells if cell.key) if planned else Counter()
        studies.append(
            {
                "study": name, "title": study.title, "question": study.question,
                "findings": [study.finding(finding).label for finding in (*study.findings, *study.claims)],
                "arms": list(study.arms), "runs": sum(done.values()) if planned else None,
                "done": done["done"], "failed": done["failed"],
                "damaged": done["damaged"], "newer": done["newer"],
            }
        )  # fmt: skip
    presets = [
        {"preset": one.preset, "about": one.about, "seeds": one.seeds, "looks": one.looks}
        for one in map(load_preset, preset_names())
    ]
    known = [{"finding": found.label, "id": found.id, "claim": found.claim} for found in findings().values()]
    return {"studies": studies, "presets": presets, "findings": known, "notes": list(notes)}


def print_list(console: Console, facts: dict[str, Any], preset: str) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("study", "asks", "findings", "arms"):
        table.add_column(column)
    table.add_column(f"done ({preset})", justify="right")
    for row in facts["studies"]:
        numbers = ", ".join(map(str, row["findings"]))
        done = NONE if row["runs"] is None else f"{row['done']}/{row['runs']}"
        done += "".join(f", {row[state]} {state}" for state in ("failed", "damaged", "newer") if row[state])
        table.add_row(row["study"], row["question"], numbers, str(len(row["arms"])), done)
    console.print(table)
    for note in facts["notes"]:
        terminal.say(console, f"not here: {note}")
    console.print()
    for row in facts["presets"]:
        looks = f"Judged at {' and '.join(map(str, row['looks']))} seeds." if row["looks"] else "Never judged."
        preset_name = (row["preset"], "bold")
        console.print(Text.assemble("preset ", preset_name, f": {row['about']} Seeds: {row['seeds']}. {looks}"))


def show_facts(loaded: LoadedStudy) -> dict[str, Any]:
    """One study: findings, arms as differences, published numbers, contrasts, confounds."""
    study = loaded.study
    arms = {}
    for name, arm in study.arms.items():
        published = {f"{entry.table}/{entry.row}": entry.values() for entry in arm.published}
        arms[name] = {"about": arm.about, "set": arm.set, "requires": list(arm.requires), "published": published}
    return {
        "study": study.study, "title": study.title, "question": study.question, "file": str(loaded.path),
        "digest": study.digest, "baseline": study.baseline,
        "findings": {found: study.finding(found).claim for found in (*study.findings, *study.claims)},
        "arms": arms, "contrasts": [contrast.model_dump() for contrast in study.contrasts],
        "confounds": list(study.confounds), "conditions": {name: list(of) for name, of in study.conditions.items()},
    }  # fmt: skip


def _compared(contrast: Contrast) -> str:
    """All arms of a contrast: of a trend its levels as they rise, of an interaction both pairs, of a ratio a ratio."""
    if contrast.kind == "trend":
        return " < ".join(contrast.levels)
    between = " / " if contrast.is_ratio else " - "
    return ", and ".join(between.join(pair) for pair in contrast.pairs)


def print_show(console: Console, study: Study, facts: dict[str, Any]) -> None:
    heading = f"  ({study.study}, claims {study.digest})\n{study.question}\n"
    console.print(Text.assemble((study.title, "bold"), heading))
    for finding in (study.finding(name) for name in (*study.findings, *study.claims)):
        kind = "Finding" if finding.documented else "Claim"
        console.print(f"{kind} {finding.label}: {finding.claim}")
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("arm", "changes", "about", "published TPR@1e-4"):
        table.add_column(column)
    for name, arm in facts["arms"].items():
        changes = ", ".join(f"{field}={_value(value)}" for field, value in arm["set"].items())
        changes = changes or ("(baseline)" if name == study.baseline else "(nothing)")
        shown = ", ".join(f"{values['tpr']:.3f} ({place.split('/')[0]})" for place, values in arm["published"].items())
        needs = f" (needs {', '.join(arm['requires']).replace('_', ' ')})" if arm["requires"] else ""
        table.add_row(name, changes, arm["about"] + needs, shown)
    console.print(table)
    if study.contrasts:
        console.print(Text.assemble("\n", ("contrasts", "bold"), " (what is claimed of the first, against the second)"))
    for contrast in study.contrasts:
        number = study.finding(contrast.finding).label
        size = "margin" if contrast.kind == "non_inferiority" else "smallest effect"
        worth = f"x {contrast.mark:g}" if contrast.is_ratio else f"{abs(contrast.mark):g}"
        kind = contrast.kind.replace("_", " ")
        about = f": {contrast.about}" if contrast.about else ""
        beside = "" if contrast.decides else " (beside the verdict)"
        console.print(
            f"  finding {number}: {_compared(contrast)}, {kind} on {contrast.metric}, {size} {worth}{about}{beside}",
        )
    if study.confounds:
        console.print("\nconfounds", style="bold")
    for confound in study.confounds:
        console.print(f"  {confound}")
    if study.conditions:
        console.print("\nconditions of `map`", style="bold")
    for field, values in study.conditions.items():
        console.print(f"  {field}: {', '.join(map(_value, values))}")


def _value(value: Any) -> str:
    return f"baseline x {value['scale']}" if isinstance(value, dict) else str(value)


def plan_facts(chosen: Chosen, plan: Plan, jobs: int, *, retry_failed: bool = False) -> dict[str, Any]:
    """Counts, estimated time and memory of what would be trained, the runs, and what cannot be run here."""
    notes = corpus_of(plan.baseline).notes
    pending, _ = worth_trying(plan.pending(retry_failed), chosen.store)
    return {
        "command": chosen.command, "store": str(chosen.store.root), "counts": plan.counts(),
        "estimate": {
            "runs": len(pending), **effort(pending, jobs),
            "memory_mb_per_process": max((run.estimate.memory_mb for run in pending), default=0),
        },
        "runs": [
            {"key": run.key, "run": run.label, "state": run.state, "seconds": run.estimate.seconds,
             "memory_mb": run.estimate.memory_mb, **({"reason": run.reason} if run.state in UNUSABLE else {})}
            for run in plan.runs
        ],
        **absent_facts(plan, pending),
        "trained_on": f"{plan.baseline.data.images} of {notes['train']}", "judged_on": notes["test"],
    }  # fmt: skip


def absent_facts(plan: Plan, pending: Sequence[Run]) -> dict[str, Any]:
    """Arms asked for that cannot be run here, each once, and notes of a plan and of what is trained of it."""
    asked = [cell for cell in plan.cells if cell.key is None and cell.asked]
    absent = dict.fromkeys((cell.study, cell.arm, cell.reason) for cell in asked)
    unavailable = [{"study": study, "arm": arm, "reason": reason} for study, arm, reason in absent]
    return {"unavailable": unavailable, "notes": [*plan.notes, *preparation_notes(pending)]}


def print_absent(console: Console, facts: dict[str, Any]) -> None:
    """What `absent_facts` gives, a line each."""
    for entry in facts["unavailable"]:
        terminal.say(console, f"not here: {entry['study']}/{entry['arm']}: {entry['reason']}")
    for note in facts["notes"]:
        terminal.say(console, f"note: {note}")


def print_json(facts: Any) -> None:
    """Facts for programs, to standard output."""
    print(json.dumps(facts, indent=1, default=str))


def print_plan(console: Console, facts: dict[str, Any], *, every_run: bool) -> None:
    counts, guess = facts["counts"], facts["estimate"]
    if every_run:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("run", "state", "estimate", "key"):
            table.add_column(column)
        for run in facts["runs"]:
            table.add_row(run["run"], run["state"], terminal.clock(run["seconds"]), run["key"])
        console.print(table)
    print_absent(console, facts)
    for run in facts["runs"] if every_run else ():
        if run["state"] in UNUSABLE:
            after = "; `run` sets it aside and trains it again" if run["state"] == "damaged" else ""
            terminal.say(console, f"{run['state']}: {run['run']}: {run['reason']}{after}")
    line = f"{len(facts['runs'])} runs: {counts['new']} new, {counts['cached']} cached, {counts['failed']} failed"
    if again := guess["runs"] - counts["new"] - counts["damaged"]:
        line += f", {again} to be tried again"
    line += "".join(f", {counts[state]} {state}" for state in UNUSABLE if counts[state])
    if counts["unavailable"]:
        line += f"; {counts['unavailable']} arms not available here"
    if guess["runs"]:
        memory = f"{guess['memory_mb_per_process']} MB each"
        line += f"; {effort_told(guess)}, {memory}"
    terminal.say(console, line)
    terminal.say(console, f"trained on {facts['trained_on']}")
    terminal.say(console, f"judged on {facts['judged_on']}")
