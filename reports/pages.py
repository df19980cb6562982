"""A report in a folder: index.md, one page a study, figures, every table as CSV and LaTeX, and all of it as HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from core.errors import UserError
from core.store import Store, write_atomic
from reports import head_cost
from reports.claims import Study
from reports.contrast_plots import contrasts_figure
from reports.cost_plots import cost_figure
from reports.curve_plots import curves_figure, roc_figure
from reports.figure_files import png, svg
from reports.frame import Cell, build_frame, curves, number_at, results, rocs
from reports.html import to_html
from reports.index_page import index_page
from reports.page import Block, Figure, Page, to_markdown
from reports.plots import arms_figure, ladder_figure
from reports.study_page import study_page
from reports.table_files import to_csv, to_latex
from reports.tables import metric_name, write_csv
from reports.verdicts import Estimate, judge, primary_metric, study_estimates

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class Material:
    """What the pages are made of, read from the store once."""

    frame: pd.DataFrame
    curves: pd.DataFrame
    rocs: pd.DataFrame
    results: dict[str, dict[str, Any]]


def write_report(
    studies: Sequence[Study],
    cells: Sequence[Cell],
    store: Store,
    out: Path,
    *,
    preset: str,
    command: str,
    data_note: str,
    html: bool = True,
) -> Path:
    """Write the report of `cells` under `out` and return the path of its index.

    Every file appears whole or not at all, and index.md comes last. Runs that failed, are missing or cannot be
    read are reported as such.

    Args:
        preset, command, data_note: the scale, the command that repeats the report and one line on the data,
            printed as they are.
        html: also write report.html, the whole report in one file.

    Raises:
        UserError: `out` cannot be made, or two files of the report would have one name.
        RunFailure: a file of the report cannot be written.
    """
    out = Path(out)
    _make_folders(out)
    material = Material(build_frame(cells, store), curves(cells, store), rocs(cells, store), results(cells, store))
    pages = [_study(study, material, Files(out, study.study, html), store) for study in studies]
    run = {"preset": preset, "command": command, "data_note": data_note}
    verdicts, unreadable = judge(studies, material.frame), material.rocs.attrs["unreadable"]
    index = Page(
        "index", "Findings", tuple(index_page(studies, material.frame, verdicts, material.results, unreadable, run))
    )
    _check_names([index, *pages])
    for page in pages:
        _write_page(page, out)
    if html:
        write_atomic(out / "report.html", to_html([index, *pages]).encode())
    _write_page(index, out)
    return out / "index.md"


def _make_folders(out: Path) -> None:
    try:
        for folder in (out, out / "figures", out / "tables"):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"the report cannot be written to '{out}' ({reason}): choose another folder") from None


def _check_names(pages: Sequence[Page]) -> None:
    """Refuse a study whose name is that of another file, e.g. `index`, or `norm-arms` beside `norm`."""
    tables = {f"{page.slug}-{table.slug}" for page in pages for table in page.tables}
    names = [page.slug for page in pages]
    for name in names:
        if name in tables or names.count(name) > 1:
            raise UserError(f"the report has a page or table '{name}' already: give the study of that name another one")


def _write_page(page: Page, out: Path) -> None:
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


def _study(study: Study, material: Material, files: Files, store: Store) -> Page:
    """One study's page; its figures and its tidy rows are written."""
    rows = material.frame[material.frame["study"] == study.study]
    write_csv(rows, files.out / "tables" / f"{study.study}.csv")
    estimates = study_estimates(study, rows)
    figures = {}
    if (rows["state"] == "done").any():
        figures = {
            kind: files.write(kind, draw(), caption, f"{study.title}: {alt}")
            for kind, caption, alt, draw in _figures(study, rows, estimates, material)
        }
    extra = _head_cost(store, files) if study.head_cost else []
    blocks = study_page(study, rows, estimates, material.results, figures, extra)
    return Page(study.study, study.title, tuple(blocks))


def _head_cost(store: Store, files: Files) -> list[Block]:
    """The section on steps of the class head, its figure written."""
    found = head_cost.read(store)
    if isinstance(found, str):
        return head_cost.absent(found)
    drawing = head_cost.head_cost_figure(found)
    return head_cost.section(found, files.write("steps", drawing, head_cost.CAPTION, head_cost.CAPTION))


_Maker = tuple[str, str, str, Callable[[], "Drawing"]]


def _figures(study: Study, rows: pd.DataFrame, estimates: Sequence[Estimate], material: Material) -> list[_Maker]:
    """Kind, caption, alternative text and maker of every figure of a study, in the order of the page."""
    metric, _ = primary_metric(study, rows)
    shown = metric_name(metric)
    found: list[_Maker] = []
    if estimates:
        caption = (
            "Every contrast with its 95 % interval over seeds. The coloured tick is the smallest effect worth having, "
            "or the largest loss that is allowed; an arrow is an interval that goes on beyond the axis."
        )
        found.append(("contrasts", caption, "contrasts with intervals", lambda: contrasts_figure(estimates)))
    caption = (
        f"{shown} of every arm. Point: one seed; grey line: the same seed in the next arm; bar: mean over seeds; "
        "dotted line: the baseline's mean."
    )
    found.append(("arms", caption, f"{shown} of every arm and seed", lambda: arms_figure(study, rows, metric)))
    if study.x_axis is not None:
        x = _x_values(rows, study.x_axis, material)
        caption = f"{shown} against {x.name}. Point: one seed; bar: mean over seeds."
        alt = f"{shown} against {x.name}"
        found.append(("ladder", caption, alt, lambda: ladder_figure(study, rows, x, metric)))
    caption = "ROC on test identities. Line: mean over seeds; band: from the lowest seed to the highest."
    found.append(("roc", caption, "ROC curves", lambda: roc_figure(study, material.rocs)))
    caption = "Loss and validation over training. Line: mean over seeds; band: from the lowest seed to the highest."
    found.append(("curves", caption, "learning curves", lambda: curves_figure(study, material.curves)))
    caption = f"What {shown} costs. Marker: mean over seeds; bars: one standard deviation over seeds."
    found.append(("cost", caption, f"{shown} against cost", lambda: cost_figure(study, rows, metric)))
    return found


def _x_values(rows: pd.DataFrame, path: str, material: Material) -> pd.Series:
    """The number at a dotted path of each row's result, nan where there is none."""
    name = path.removeprefix("cost.").removeprefix("config.").replace("_", " ")
    values = [number_at(material.results.get(key, {}), path) for key in rows["key"]]
    return pd.Series(values, index=rows.index, name=name, dtype=float)
