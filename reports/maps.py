"""A map: a study's contrasts under several conditions, as one page with a figure and a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.store import Store
from reports.cells import Cell
from reports.claims import Study
from reports.estimates import Estimate
from reports.folders import check_page, make_folders
from reports.frame import build_frame
from reports.map_plot import map_figure
from reports.map_rates import estimates_under
from reports.map_readings import COLORS, Conditions, reading
from reports.markdown import NONE, code, escape
from reports.page import Block, Figure, Page, Table, Text
from reports.pages import Files, write_page
from reports.provenance import Evidence, evidence_of
from reports.replicates import Replicates
from reports.verdict_tables import contrast_label, estimate_text, worth_text

Under = Sequence[tuple[str, Sequence[Cell]]]  # conditions, each with its cells
MARK = ": where does it hold?"  # ends the title of every map
CAPTION = (
    "Every contrast under every condition, with its 95 % interval; to the right: in favour of the claim. The short "
    "line is the smallest effect worth having (of a claim that nothing is lost: the largest loss allowed). Green: as "
    "claimed; vermilion: against; orange: an effect worth having is excluded; grey: open. Hollow: a gate forbids to "
    "judge it. An interaction has a panel for each of its differences, which must both be there."
)
_HOW = (
    "**as claimed**: the interval lies above zero and the estimate is worth having; of a claim that nothing is lost, "
    "it lies above minus the margin, whatever the estimate; of a trend, its levels rise one by one as well, by their "
    "means and by Page's test. **against**: the interval lies below zero (below minus the margin), and the levels of a "
    "trend fall one by one. **too small**: neither, but an effect worth having is excluded. "
    "**open**: none of these. Each interval is of 95 % by itself: of many, some miss the truth, and no verdict rests "
    "on a map. Conditions share seeds, images and every random stream that they can. A contrast on a TPR "
    "is read at one FPR under all of them, the lowest at which every one can be read; where that is not the declared "
    "one, notes say why."
)


@dataclass(frozen=True)
class Map:
    """A map as it was written: the estimates of each condition, by its label, in the order of the study's contrasts."""

    study: Study
    fields: Sequence[str]
    under: Sequence[tuple[str, Sequence[Estimate]]]
    page: Path


def page_path(study: Study, fields: Sequence[str], out: Path) -> Path:
    """Where the map of a study over fields is written."""
    return out / f"{'-'.join([study.study, *(field.rpartition('.')[2] for field in fields)])}.md"


def write_map(study: Study, under: Under, store: Store, out: Path, *, fields: Sequence[str], command: str) -> Map:
    """Write `<study>-<fields>.md` with its figure and table under `out`.

    Args:
        under: conditions by label, each with the cells that the study has there.
        fields: that the conditions differ in; their last words name the page.
        command: that repeats it, printed as it is.

    Raises:
        UserError: `out` cannot be made or is a store, or the page's place is taken by what is no map.
        RunFailure: a file cannot be written.
    """
    check_page(page := page_path(study, fields, out), MARK)
    make_folders(out, out / "figures", out / "tables")
    slug = page.stem
    twins = [_twins(study, place, under) for place in study.contrasts_of_runs]
    frames = [
        (label, build_frame([cell for cell in cells if cell.study == study.study], store)) for label, cells in under
    ]
    read = [
        (label, _of_runs(study, found, [of.get(label, "") for of in twins]))
        for label, found in estimates_under(study, frames, Replicates(store.scores))
    ]
    labels, estimates = zip(*read, strict=True)
    every = [list(zip(labels, of_contrast, strict=True)) for of_contrast in zip(*estimates, strict=True)]
    contrasts = [one for one in every if _there(one)]
    absent = [one[0][1] for one in every if not _there(one)]
    files = Files(out, "map", html=False)
    title = f"{study.title}: contrasts under conditions"
    drawing = [files.write(slug, map_figure(contrasts), CAPTION, title)] if contrasts else []
    evidence = evidence_of([cell for _, cells in under for cell in cells], store)
    blocks = _blocks(study, fields, contrasts, absent, drawing, command, evidence)
    write_page(Page(slug, study.title, tuple(blocks)), out)
    return Map(study, fields, read, page)


def _of_runs(study: Study, found: Sequence[Estimate], twins: Sequence[str]) -> list[Estimate]:
    """The estimates that read runs; `twins` has a note on each."""
    shown = zip((found[place] for place in study.contrasts_of_runs), twins, strict=True)
    return [replace(one, notes=(*one.notes, twin)) if twin else one for one, twin in shown]


def _twins(study: Study, place: int, under: Under) -> dict[str, str]:
    """A note by condition where a contrast compares the runs of another condition: its arms set themselves what varies.

    Without it one result would be read as several that agree.
    """
    arms = study.contrasts[place].arms
    keys = {
        label: frozenset(cell.key for cell in cells if cell.study == study.study and cell.arm in arms)
        for label, cells in under
    }
    found = {}
    for label, own in keys.items():
        others = [other for other, runs in keys.items() if other != label and runs == own]
        if others and None not in own:
            found[label] = f"The runs are those of {', '.join(others)}: what varies changes neither arm here."
    return found


def _blocks(
    study: Study,
    fields: Sequence[str],
    contrasts: Sequence[Conditions],
    absent: Sequence[Estimate],
    drawing: Sequence[Figure],
    command: str,
    evidence: Evidence,
) -> list[Block]:
    names = ", ".join(code(field) for field in fields)
    notes: dict[str, int] = {}  # numbered in order: many rows share theirs
    rows = [_row(study, label, one, notes) for contrast in contrasts for label, one in contrast]
    header = [
        "finding", "contrast", "condition", "estimate [95 % interval]", "worth having", "reading", "seeds", "notes",
    ]  # fmt: skip
    listed = "\n".join(f"{index}. {escape(text)}" for text, index in notes.items())
    return [
        Text(f"# {escape(study.title)}{MARK}\n\n{escape(study.question)} Varied: {names}."),
        *drawing,
        Table.of("conditions", f"{study.title} under every condition", header, rows, right=(6,)),
        *([Text(f"Notes:\n\n{listed}")] if notes else []),
        *([Text(f"Under no condition there is: {_absent(absent)}")] if absent else []),
        Text(_HOW),
        Text(f"Command: {code(command)}. Claims, by digest: {code(study.digest)}. {_provenance(evidence)}"),
    ]


def _there(contrast: Conditions) -> bool:
    return any(one.interval for _, one in contrast)


def _absent(contrasts: Sequence[Estimate]) -> str:
    return " ".join(f"{contrast_label(one)}. {escape(one.missing)}" for one in contrasts)


def _provenance(evidence: Evidence) -> str:
    made = ", ".join(code(name) for name in evidence.codes) or NONE
    return (
        f"Runs that are done: {evidence.runs}, made by code {made}; SHA-256 over their keys and scores: "
        f"{code(evidence.digest)}."
    )


def _row(study: Study, label: str, one: Estimate, notes: dict[str, int]) -> list[str]:
    told: str = reading(one)
    told = f"**{told}**" if told in COLORS else told
    seeds = str(len(one.seeds)) if one.interval else NONE
    finding, worth = escape(study.finding(one.contrast.finding).label), worth_text(one.contrast)
    said = [notes.setdefault(text, len(notes) + 1) for text in (one.missing, one.gate, *one.notes) if text]
    numbers = ", ".join(map(str, said)) or NONE
    return [finding, contrast_label(one), escape(label), estimate_text(one), worth, told, seeds, numbers]
