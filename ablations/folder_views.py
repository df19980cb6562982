"""What `data check` found of a folder, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from ablations import terminal
from core.data.alike_pairs import Pair
from core.data.folder_check import EXAMPLES, FolderReport, Overlap, Sides
from core.data.look_alikes import MOST_IMAGES
from core.errors import shown


def print_check(report: FolderReport, shared: Overlap | None) -> None:
    """A folder, and what it has in common with the one that it is held against, if it is."""
    console = terminal.stdout()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")

    def line(label: str, text: str) -> None:
        table.add_row(label, shown(text))

    line("folder", str(report.folder))
    line("usable images", f"{report.images:,}")
    for label, counts in (("formats", report.formats), ("modes", report.modes)):
        line(label, ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "-")
    line("short side", _range(report.short_side))
    line("long side", _range(report.long_side))
    captures = report.captures
    each = f" ({captures[0]:,} / {captures[1]:g} / {captures[2]:,} min / median / max each)" if captures else ""
    line("layout", report.layout + each)
    if report.pages:
        line("pages", f"{report.pages:,} TIFF files have several, of which the first alone is used")
    for label, use in (("--data", report.data), ("--eval", report.evaluation)):
        line(label, ("yes: " if use.usable else "no: ") + use.note)
    if report.evaluation.usable:
        rates = ", ".join(f"{fpr:g} {'yes' if ok else 'no'}" for fpr, ok in report.rates.items())
        line("--eval at FPR", f"{rates} ({report.identities:,} identities, {report.pairs:,} pairs)")
    if report.alike is None:
        line("look alike", f"not looked for among more than {MOST_IMAGES:,} images")
    elif pairs := report.alike:
        of = "1 pair" if len(pairs) == 1 else f"{len(pairs):,} pairs"
        line("look alike", f"{of} that may be one document saved twice, but count as different ones:")
        for text in _listed(pairs):
            line("", text)
    if shared:
        for label, text in _shared(shared):
            line(label, text)
    for reason, (count, examples) in report.skipped.items():
        line(f"skipped {count:,}", f"{reason}: " + ", ".join(examples) + (", ..." if count > len(examples) else ""))
    console.print(table)


def _listed(pairs: Sequence[Pair]) -> list[str]:
    more = ["... (all of them with --json)"] if len(pairs) > EXAMPLES else []
    return [f"{one} and {other}" for one, other in pairs[:EXAMPLES]] + more


def _shared(shared: Overlap) -> list[tuple[str, str]]:
    """Labels and texts of what a folder has in common with the one that it is held against."""
    images = "1 image" if shared.same == 1 else f"{shared.same:,} images"
    same = f"{images}, pixel for pixel: not trained on where judged on" if shared.same else "no image"
    rows = [("against", str(shared.other)), ("in both", same)]
    if shared.alike is None:
        return [*rows, ("look alike", f"not looked for among more than {MOST_IMAGES:,} images")]
    if not shared.alike:
        return [*rows, ("look alike", "none, one here and one there")]
    many = "1 image looks" if len(shared.alike) == 1 else f"{len(shared.alike):,} images look"
    text = f"{many} like one there: if that is the same document, it is judged on after it was trained on:"
    return [*rows, ("look alike", text), *(("", text) for text in _listed(shared.alike))]


def _range(sides: Sides | None) -> str:
    return f"{sides.least:,} / {sides.median:g} / {sides.most:,} pixels (min / median / max)" if sides else "-"
