"""A report in a folder: index.md, one page a study, figures, every table as CSV and LaTeX, and all of it as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import UserError
from core.store import Store, write_atomic
from reports import head_cost
from reports.cells import Cell
from reports.claims import Study
from reports.figure_files import png, svg
from reports.findings_plot import CAPTION, findings_figure
from reports.folders import check_free, make_folders
from reports.html import to_html
from reports.index_page import index_page
from reports.material import Material, Tuning
from reports.page import Block, Figure, Page, to_markdown
from reports.provenance import record_of, stamps, write_record
from reports.study_figures import study_figures
from reports.study_page import study_page
from reports.summary import summary_of, write_summary
from reports.table_files import to_csv, to_latex
from reports.tables import write_csv
from reports.verdicts import deciding

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


def write_report(
    studies: Sequence[Study],
    cells: Sequence[Cell],
    store: Store,
    out: Path,
    *,
    preset: str,
    command: str,
    data_note: str,
    notes: Sequence[str] = (),
    looks: Mapping[int, float] | None = None,
    tuning: Tuning | None = None,
    earlier: Mapping[str, Sequence[str]] | None = None,
    html: bool = True,
) -> Path:
    """Write the report of `cells` under `out` and return the path of its index.

    Every file appears whole or not at all; index.md comes last but for verdicts.json, the same as data, and
    report.json, which has the digests of all. Runs that failed, are missing or cannot be read are reported as such.

    Args:
        preset, command, data_note: the scale, the command that repeats the report and one line on the data,
            printed as they are.
        notes: what a reader must know of these runs: of folders, of arms that are not what their name says.
        looks: numbers of seeds at which a verdict may be reached, each with its share of alpha.
        tuning: study -> arm -> the search that tuned cells have their values from, as `tune` wrote it.
        earlier: of `reports.provenance.earlier_claims`, for the record; `notes` tell of it.
        html: also write report.html, the whole report in one file.

    Raises:
        UserError: `out` cannot be made, or has what no report wrote, or two files of the report would have one name.
        RunFailure: a file of the report cannot be written.
    """
    out = Path(out)
    check_free(out)
    make_folders(out, out / "figures", out / "tables")
    material = Material.read(studies, cells, store, looks or {}, tuning or {})
    before = stamps(out)
    record = record_of(studies, cells, store, preset=preset, command=command, looks=looks or {}, earlier=earlier)
    pages = [_study(study, material, Files(out, study.study, html), store) for study in studies]
    run = {"preset": preset, "command": command, "data_note": data_note, "store_digest": record.store_digest}
    shown = _findings(material, Files(out, "index", html))
    index = Page("index", "Findings", tuple(index_page(material, run, shown, notes)))
    _check_names([index, *pages])
    for page in pages:
        write_page(page, out)
    if html:
        write_atomic(out / "report.html", to_html([index, *pages]).encode())
    else:  # one of before would tell of other runs
        (out / "report.html").unlink(missing_ok=True)
    write_page(index, out)
    write_summary(summary_of(material, preset), out)
    write_record(record, out, before)
    return out / "index.md"


def _check_names(pages: Sequence[Page]) -> None:
    """Refuse a study whose name is that of another file, e.g. `index`, or `norm-arms` beside `norm`.

    Or one that would make it so of a table: `norm-tuned` has one of its runs, and `norm` one of its tuned runs.
    """
    tables: dict[str, str] = {}
    for page in pages:
        for table in page.tables:
            if (name := f"{page.slug}-{table.slug}") in tables:
                longer = max(tables[name], page.slug, key=len)
                raise UserError(f"the report would have two tables '{name}': give the study '{longer}' another name")
            tables[name] = page.slug
    names = [page.slug for page in pages]
    for name in names:
        if name in tables or names.count(name) > 1:
            raise UserError(f"the report has a page or table '{name}' already: give the study of that name another one")


def write_page(page: Page, out: Path) -> None:
    """The page's tables, then its markdown."""
    for table in page.tables:
        path = out / "tables" / f"{page.slug}-{table.slug}.csv"
        write_atomic(path, to_csv(table).encode())
        write_atomic(path.with_suffix(".tex"), to_latex(table).encode())
    write_atomic(out / f"{page.slug}.md", to_markdown(page.blocks).encode())


@dataclass(frozen=True)
class Files:
    """Where the figures of one page go, and whether they are drawn for HTML too."""

    out: Path
    page: str
    html: bool

    def write(self, kind: str, drawing: Drawing, caption: str, alt: str) -> Figure:
        """Write the figure's PNG; return its block."""
        figure = Figure(f"{self.page}-{kind}", caption, alt)
        write_atomic(self.out / figure.path, png(drawing))
        # A dot keeps the ids of study `a-b` and those of figure `b` of study `a` apart.
        return replace(figure, svg=svg(drawing, f"{self.page}.{kind}", alt)) if self.html else figure


def _findings(material: Material, files: Files) -> list[Figure]:
    """The figure of all findings, written, unless there is nothing to show."""
    if not any(one.interval for verdict in material.verdicts for one in deciding(verdict.estimates)):
        return []
    drawing = findings_figure(material.verdicts)
    return [files.write("findings", drawing, CAPTION, "what decides each finding, with intervals")]


def _study(study: Study, material: Material, files: Files, store: Store) -> Page:
    """One study's page; its figures and its tidy rows are written."""
    rows = material.frame[material.frame["study"] == study.study]
    write_csv(rows, files.out / "tables" / f"{study.study}.csv")
    figures = {}
    if (rows["state"] == "done").any():
        figures = {
            kind: files.write(kind, draw(), caption, f"{study.title}: {alt}")
            for kind, caption, alt, draw in study_figures(study, rows, material.estimates(study), material)
        }
    extra = _head_cost(store, files) if study.head_cost else []
    return Page(study.study, study.title, tuple(study_page(study, material, figures, extra, store)))


def _head_cost(store: Store, files: Files) -> list[Block]:
    """The section on steps of the class head, its figure written."""
    found = head_cost.read(store)
    if isinstance(found, str):
        return head_cost.absent(found)
    drawing = head_cost.head_cost_figure(found)
    return head_cost.section(found, files.write("steps", drawing, head_cost.CAPTION, head_cost.CAPTION))
