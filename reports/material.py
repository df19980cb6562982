"""What a report is made of, read from the store once and judged once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from core.store import Store
from reports.cells import Cell
from reports.claims import Study
from reports.control import CONTROL, control_study
from reports.estimates import Estimate, study_estimates
from reports.frame import build_frame, curves, rocs
from reports.replicates import Replicates
from reports.runs import results
from reports.verdicts import Verdict, judge

Tuning = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Material:
    """Tables, verdicts and the control of one report.

    `frame`, `curves` and `rocs` are of the runs with the preset's values, `tuned` has the rows of those with tuned
    ones, so that no page mixes them; `results` are of all. `tuning` holds how the tuned values were found: study ->
    arm -> record. `tuned_verdicts` is empty where no tuned run was asked for, `control` None without control runs.
    """

    studies: tuple[Study, ...]
    frame: pd.DataFrame
    curves: pd.DataFrame
    rocs: pd.DataFrame
    results: dict[str, dict[str, Any]]
    tuned: pd.DataFrame
    tuning: Tuning
    looks: Mapping[int, float]
    replicates: Replicates
    verdicts: tuple[Verdict, ...]
    tuned_verdicts: tuple[Verdict, ...]
    control: Estimate | None

    @classmethod
    def read(
        cls, studies: Sequence[Study], cells: Sequence[Cell], store: Store, looks: Mapping[int, float], tuning: Tuning
    ) -> Material:
        plain, tuned = ([cell for cell in cells if cell.tuned is wanted] for wanted in (False, True))
        frame, tuned_frame = build_frame(plain, store), build_frame(tuned, store)
        replicates = Replicates(store.scores)
        verdicts = judge(studies, frame, looks=looks, replicates=replicates)
        again: list[Verdict] = []
        if tuned:
            named = [with_tuned_values(study, tuning) for study in studies]
            edges = {
                name: {arm: record.get("at_edge", ()) for arm, record in arms.items()} for name, arms in tuning.items()
            }
            again = judge(named, tuned_frame, looks=looks, replicates=replicates, edges=edges)
        has_control = any(cell.study == CONTROL for cell in plain)
        control = study_estimates(control_study(), frame, replicates, looks)[0] if has_control else None
        return cls(
            tuple(studies), frame, curves(plain, store), rocs(plain, store), results(cells, store), tuned_frame, tuning,
            looks, replicates, tuple(verdicts), tuple(again), control,
        )  # fmt: skip

    @property
    def tested(self) -> list[Verdict]:
        """The verdicts on what the studies test, in order."""
        named = {name for study in self.studies for name in study.tested}
        return [verdict for verdict in self.verdicts if verdict.finding.id in named]

    def estimates(self, study: Study) -> list[Estimate]:
        """The study's contrasts as the verdicts read them, finding by finding."""
        return [one for verdict in self.verdicts for one in verdict.estimates if one.study == study.study]


def with_tuned_values(study: Study, tuning: Tuning) -> Study:
    """The study whose arms also declare the fields that were tuned, the baseline's own among them."""
    found = tuning.get(study.study, {})
    arms = {
        name: arm.model_copy(update={"set": {**arm.set, **(found.get(name, {}).get("values") or {})}})
        for name, arm in study.arms.items()
    }
    return study.model_copy(update={"arms": arms})
