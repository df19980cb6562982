"""A report in a folder: index.md, one page a study, its figures and its runs as CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from core.errors import UserError
from core.store import Store, write_atomic
from reports import head_cost, plots
from reports.claims import Study
from reports.estimates import study_estimates
from reports.frame import Cell, build_frame, curves, number_at, results, rocs
from reports.index_page import index_page
from reports.metrics import metric_name, primary_metric
from reports.provenance import record_of, stamps, write_record
from reports.replicates import Replicates
from reports.study_page import Figure, study_page
from reports.tables import write_csv
from reports.verdicts import judge


@dataclass(frozen=True)
class Material:
    """What the pages are made of, read from the store once.

    `frame`, `curves` and `rocs` are of the runs with the preset's values, `tuned` has the rows of those with tuned
    ones; `results` are of all. `tuning` holds how the values were found: study -> arm -> record.
    """

    frame: pd.DataFrame
    curves: pd.DataFrame
    rocs: pd.DataFrame
    results: dict[str, dict[str, Any]]
    tuned: pd.DataFrame
    replicates: Replicates
    tuning: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, cells: Sequence[Cell], store: Store, tuning: Mapping[str, Mapping[str, Any]]) -> Material:
        """Tuned and untuned rows are parted here, so that no page mixes them."""
        plain, tuned = ([cell for cell in cells if cell.tuned is wanted] for wanted in (False, True))
        return cls(
            build_frame(plain, store), curves(plain, store), rocs(plain, store), results(cells, store),
            build_frame(tuned, store), Replicates(store.scores), tuning,
        )  # fmt: skip


def write_report(
    studies: Sequence[Study],
    cells: Sequence[Cell],
    store: Store,
    out: Path,
    *,
    preset: str,
    command: str,
    data_note: str,
    looks: Mapping[int, float] | None = None,
    tuning: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Write the report of `cells` under `out` and return the path of its index.

    Every file appears whole or not at all; index.md comes last but for report.json, which has the digests of
    all. Runs that failed, are missing or cannot be read are reported as such.

    Args:
        preset, command, data_note: the scale, the command that repeats the report and one line on the data,
            printed as they are.
        looks: numbers of seeds at which a verdict may be reached, each with its share of alpha.
        tuning: study -> arm -> the search that tuned cells have their values from, as `tune` wrote it.

    Raises:
        UserError: `out` cannot be made.
        RunFailure: a file of the report cannot be written.
    """
    out = Path(out)
    try:
        for folder in (out, out / "figures", out / "tables"):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"the report cannot be written to '{out}' ({reason}): choose another folder") from None
    material = Material.read(cells, store, tuning or {})
    before = stamps(out)
    record = record_of(studies, cells, store, preset=preset, command=command, looks=looks or {})
    for study in studies:
        _write_study(study, material, out, store)
    run = {"preset": preset, "command": command, "data_note": data_note, "store_digest": record.store_digest}
    text = index_page(
        studies,
        material.frame,
        judge(studies, material.frame, looks=looks, replicates=material.replicates),
        material.results,
        material.rocs.attrs["unreadable"],
        run,
    )
    write_atomic(out / "index.md", text.encode())
    write_record(record, out, before)
    return out / "index.md"


def _write_study(study: Study, material: Material, out: Path, store: Store) -> None:
    rows = material.frame[material.frame["study"] == study.study]
    write_csv(rows, out / "tables" / f"{study.study}.csv")
    figures = []
    if (rows["state"] == "done").any():
        for name, text, draw in _figures(study, rows, material):
            path = f"figures/{study.study}-{name}.png"
            write_atomic(out / path, draw())
            figures.append(Figure(path, text))
    extra = _head_cost(study, store, out) if study.head_cost else ""
    page = study_page(study, rows, study_estimates(study, rows, material.replicates), material.results, figures, extra)
    write_atomic(out / f"{study.study}.md", page.encode())


def _head_cost(study: Study, store: Store, out: Path) -> str:
    """The section on steps of the class head, its figure written."""
    path, found = f"figures/{study.study}-steps.png", head_cost.read(store)
    if isinstance(found, head_cost.HeadCost):
        write_atomic(out / path, head_cost.head_cost_figure(found))
    return head_cost.section(found, path)


def _figures(study: Study, rows: pd.DataFrame, material: Material) -> list[tuple[str, str, Callable[[], bytes]]]:
    """Name, caption and maker of every figure of a study."""
    metric, _ = primary_metric(study, rows)
    shown = metric_name(metric)
    found: list[tuple[str, str, Callable[[], bytes]]] = [
        ("arms", f"{shown} of every arm and seed", lambda: plots.arms_figure(study, rows, metric)),
    ]
    if study.x_axis is not None:
        x = _x_values(rows, study.x_axis, material)
        found.append(("ladder", f"{shown} against {x.name}", lambda: plots.ladder_figure(study, rows, x, metric)))
    return [
        *found,
        ("roc", "ROC on test identities, mean over seeds", lambda: plots.roc_figure(study, material.rocs)),
        (
            "curves",
            "Loss and validation over training, mean and range",
            lambda: plots.curves_figure(study, material.curves),
        ),
    ]


def _x_values(rows: pd.DataFrame, path: str, material: Material) -> pd.Series:
    """The number at a dotted path of each row's result, nan where there is none."""
    name = path.removeprefix("cost.").removeprefix("config.").replace("_", " ")
    values = [number_at(material.results.get(key, {}), path) for key in rows["key"]]
    return pd.Series(values, index=rows.index, name=name, dtype=float)
