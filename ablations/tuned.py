"""`--tuned`: full-length runs with the values that `tune` chose, beside those of the preset."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ablations import tuning_store
from ablations.registry import study_names
from ablations.tuning import TUNING_SEED
from core import inputs
from core.errors import UserError
from core.integrity import examine
from core.store import Store
from reports.cells import Cell

if TYPE_CHECKING:
    from ablations.planner import Plan, Request, Run


def with_tuned(plan: Plan, request: Request, store: Store, *, digests: bool) -> Plan:
    """The plan, its tuned cells and their runs added, on the same seeds; `digests` as of `plan`.

    Raises:
        UserError: nothing was tuned for this preset and data, or an evaluation seed is the tuning seed.
    """
    found = {study.study: tuning_store.load(store, study, plan.baseline) for study in request.studies}
    tuning = {name: arms for name, arms in found.items() if arms}
    if not tuning:
        raise UserError(
            f"--tuned: nothing was tuned for this preset and data: run `python -m ablations tune {_words(found)} "
            f"--preset {shlex.quote(request.preset.spelled)}` first, with the same --data, --eval, --set and --store"
        )
    if TUNING_SEED in request.all_seeds:
        raise UserError(f"--seeds: values were tuned on seed {TUNING_SEED}, which cannot judge them: take another")
    notes = [f"not tuned for this preset and data: {name}" for name, arms in found.items() if not arms]
    cells, runs = list(plan.cells), {run.key: run for run in plan.runs}
    for cell, run in _tuned(plan, tuning, store, digests):
        cells.append(cell)
        if run is not None:
            runs.setdefault(run.key, run)
    return replace(plan, cells=tuple(cells), runs=tuple(runs.values()), notes=(*plan.notes, *notes), tuning=tuning)


def _words(names: Collection[str]) -> str:
    """The studies as the command line takes them: one of the user's own goes by its file."""
    known = study_names()
    if list(names) == known:
        return "all"
    return " ".join(name if name in known else "FILE" for name in names)


def _tuned(
    plan: Plan, tuning: Mapping[str, Mapping[str, Any]], store: Store, digests: bool
) -> Iterator[tuple[Cell, Run | None]]:
    """Every tuned cell with its run; without one where all trials of the arm failed."""
    runs = {run.key: run for run in plan.runs}
    for cell in plan.cells:
        record = tuning.get(cell.study, {}).get(cell.arm)
        if cell.key is None or record is None or cell.key not in runs:  # of an arm that was left out
            continue
        if record["values"] is None:
            reason = f"no tuned values: all {len(record['trials'])} trials failed"
            yield replace(cell, key=None, reason=reason, tuned=True), None
            continue
        run = runs[cell.key]
        config = run.config.with_overrides(record["values"])
        key = inputs.run_key(config)
        label = f"{cell.study}/{cell.arm} tuned seed {cell.seed}"
        found = examine(store, key, digests=digests)
        # Tuned fields change neither the samples nor the network: the estimate stays.
        yield (
            replace(cell, key=key, tuned=True, asked=True),
            replace(run, key=key, config=config, label=label, state=found.condition, reason=found.reason),
        )
