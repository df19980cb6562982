"""The report that a request asks for: what `run` writes at its end, and `report` of what is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ablations import options, terminal
from ablations.planner import plan
from ablations.sequential import as_run
from ablations.unread_seeds import unread_note
from ablations.written_command import written
from core.inputs import corpus_of
from reports.provenance import earlier_claims


def write(chosen: options.Chosen, out: Path, console: Console, *, html: bool) -> None:
    """Write the report that a request asks for, of what the store has."""
    from reports.pages import write_report

    planned = (as_run if chosen.until_resolved else plan)(chosen.request, chosen.store)
    config = planned.baseline
    corpus_notes = corpus_of(config).notes
    data_note = (
        f"{config.data.images} of {corpus_notes['train']}, as {config.data.classes:,} classes at "
        f"{config.data.image_size} px; judged on {corpus_notes['test']}"
    )
    preset = chosen.request.preset
    studies = chosen.request.studies
    earlier = earlier_claims(out, studies, planned.cells)
    told = [*unread_note(chosen), *(_redeclared(name, digests) for name, digests in earlier.items())]
    for note in told:
        terminal.say(console, f"note: {note}")
    page = write_report(
        studies, planned.cells, chosen.store, out,
        preset=preset.preset, command=written("run", chosen.command, config),
        data_note=data_note, notes=[*planned.notes, *told], looks=preset.looks, tuning=planned.tuning,
        earlier=earlier, html=html,
    )  # fmt: skip
    terminal.say(console, f"report: {page}")


def _redeclared(name: str, digests: Sequence[str]) -> str:
    reports = "earlier reports" if len(digests) > 1 else "an earlier report"
    return (
        f"the claims of '{name}' were declared otherwise ({', '.join(digests)}) in {reports} of these runs, which this "
        "one replaces"
    )
