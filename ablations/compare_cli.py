"""`compare`: two written reports, and what moved from the first to the second."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ablations import terminal
from ablations.options import AsJson
from ablations.views import print_json
from core.errors import UserError

if TYPE_CHECKING:
    from reports.page import Table as PageTable

Folder = Annotated[Path, typer.Argument(metavar="REPORT", help="Folder of a report.", show_default=False)]


def compare(
    first: Folder,
    second: Folder,
    out: Annotated[
        Path | None, typer.Option("--out", help="Also as a page with a figure, in this folder.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two reports: which verdicts moved, and do the estimates differ by more than chance?

    For example a report with the same on other seeds, or the repository's own with that of your images:
    compare reports/reference/cpu-quick reports/generated.
    """
    from reports.comparison import compare_reports  # pandas and matplotlib, which other commands need not import
    from reports.comparison_page import estimate_table, finding_table, write_comparison
    from reports.comparison_told import reasons, told
    from reports.facts import comparison_facts

    found = compare_reports(first, second)
    if not any(all((pair.first, pair.second)) for pair in found.findings):
        raise UserError(f"{first} and {second} have no finding in common")
    page = None
    if out is not None:
        command = shlex.join(["python", "-m", "ablations", "compare", str(first), str(second), "--out", str(out)])
        page = write_comparison(found, out, command)
    if as_json:
        print_json({**comparison_facts(found), "page": page})
        return
    console = terminal.stdout()
    for table in (finding_table(found), estimate_table(found)):
        console.print(_as_text(table))
        console.print()
    for line in (*told(found), *reasons(found)):
        terminal.say(console, line)
    if page is not None:
        terminal.say(console, f"page: {page}")


def _as_text(table: PageTable) -> Table:
    """A table of a page for the terminal; a row with a bold cell that says what changed stands out."""
    from reports.inline import plain

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(table.header):
        shown.add_column(name, justify="right" if place in table.right else "left")
    for row in table.rows:
        shown.add_row(*map(plain, row), style="bold" if row[-1].startswith("**") else "")
    return shown
