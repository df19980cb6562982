"""What `tune` found, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from ablations import terminal, tuning
from reports.markdown import NONE

_WIDTH = 200  # of a table at most: a narrow terminal may break its lines, but no number is cut


def print_choices(facts: Sequence[dict[str, Any]]) -> None:
    """A table a study: every arm's best trial beside the preset's, and where they were written."""
    console = terminal.stdout()
    for study in facts:
        terminal.PlainConsole(width=_WIDTH).print(_table(study))
        terminal.say(console, f"written to {study['file']}\n")
    terminal.say(
        console,
        "Values are validation TPR@1e-3 of one short run each, the best of several: optimistic, and no result. "
        "`run --tuned` trains with them on the evaluation seeds.",
    )


def failures(facts: Sequence[dict[str, Any]]) -> str:
    """How many trials failed, of all; empty for none."""
    records = [record for study in facts for record in study["arms"].values()]
    failed, trials = sum(one["failed"] for one in records), sum(len(one["trials"]) for one in records)
    return f"{failed} of {trials} trials failed: `status` says why" if failed else ""


def _table(facts: dict[str, Any]) -> Table:
    """A row an arm: its best trial beside the preset's, and the values of the best."""
    records = facts["arms"].values()
    fields = [field for field in tuning.SPACE if any(field in one["trials"][0]["values"] for one in records)]
    table = Table(box=None, pad_edge=False, header_style="bold", title=facts["study"], title_justify="left")
    table.add_column("arm")
    for name in ("trials", "failed", "best", "preset's", "chosen", *map(_short, fields)):
        table.add_column(name, justify="left" if name == "chosen" else "right")
    table.add_column("at the edge")
    for arm, record in facts["arms"].items():
        values = record["values"] or {}
        table.add_row(
            arm, *_outcome(record), *(f"{values[field]:g}" if field in values else NONE for field in fields),
            ", ".join(map(_short, record["at_edge"])) or NONE,
        )  # fmt: skip
    return table


def _short(field: str) -> str:
    return field.split(".")[1].replace("_", " ")


def _outcome(record: dict[str, Any]) -> list[str]:
    """Trials, failed ones, the best value, the preset's, and which trial was the best."""
    trials = record["trials"]
    preset, best = trials[1], None if record["trial"] is None else trials[record["trial"]]
    return [
        str(len(trials)), str(record["failed"]), "failed" if best is None else f"{best['value']:.3f}",
        "failed" if preset["failure"] else f"{preset['value']:.3f}",
        NONE if best is None else f"{best['trial']} {best['origin']}",
    ]  # fmt: skip
