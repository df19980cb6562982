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
        told = "TIFF files have several" if report.pages > 1 else "TIFF file has several"
        line("pages", f"{report.pages:,} {told}, of which the first alone is used")
    for label, use in (("--data", report.data), ("--eval", report.evaluation)):
        line(label, ("yes: " if use.usable else "no: ") + use.note)
    if report.evaluation.usable:
        rates = ", ".join(f"{fpr:g} {'yes' if ok else 'no'}" for fpr, ok in report.rates.items())
        line("--eval at FPR", f"{rates} ({report.identities:,} identities, {report.pairs:,} pairs)")
    rows = _alike(report.alike, "pair", "that may be one document saved twice, but count as different ones")
    told = "in one sub-folder: different documents to --data, captures of one identity to --eval"
    rows += _alike(report.alike_inside, "pair", told)
    for label, text in rows + (_shared(shared) if shared else []):
        line(label, text)
    for reason, (count, examples) in report.skipped.items():
        line(f"skipped {count:,}", f"{reason}: " + ", ".join(examples) + (", ..." if count > len(examples) else ""))
    console.print(table)


_Row = tuple[str, str]  # label and text


def _alike(pairs: Sequence[Pair] | None, one: str, of_them: str) -> list[_Row]:
    """What looks alike, the first pairs by name; nothing where nothing does.

    Args:
        pairs: None where it was not looked for.
        one: what a pair is called in the singular.
        of_them: what is said of such pairs.
    """
    if pairs is None:
        return [("look alike", f"not looked for among more than {MOST_IMAGES:,} images")]
    if not pairs:
        return []
    rows = [("look alike", f"{_count(len(pairs), one)} {of_them}:")]
    rows += [("", f"{first} and {second}") for first, second in pairs[:EXAMPLES]]
    return rows + ([("", "... (all of them with --json)")] if len(pairs) > EXAMPLES else [])


def _shared(shared: Overlap) -> list[_Row]:
    """What a folder has in common with the one that it is held against."""
    same = f"{_count(shared.same, 'image')}, pixel for pixel: not trained on where judged on"
    look = "looks" if shared.alike and len(shared.alike) == 1 else "look"
    trained = f"{look} like one there: if that is the same document, it is judged on after it was trained on"
    alike = _alike(shared.alike, "image", trained) or [("look alike", "none, one here and one there")]
    return [("against", str(shared.other)), ("in both", same if shared.same else "no image"), *alike]


def _count(number: int, one: str) -> str:
    return f"{number:,} {one}" + ("" if number == 1 else "s")


def _range(sides: Sides | None) -> str:
    return f"{sides.least:,} / {sides.median:g} / {sides.most:,} pixels (min / median / max)" if sides else "-"
