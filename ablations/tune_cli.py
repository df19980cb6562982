"""`tune`: an equal number of trials for every arm, judged on validation identities alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ablations import options, terminal, tuning, tuning_journal, tuning_store
from ablations.estimate import estimate
from ablations.executors.gate import RunGate
from ablations.executors.layout import Layout, measure_if_worth
from ablations.options import (
    AsJson,
    Chosen,
    Data,
    Device,
    Eval,
    Jobs,
    PresetName,
    Sets,
    StorePath,
    Strict,
    Studies,
    told_when_stopped,
)
from ablations.planner import Plan, Run, plan, planned_run
from ablations.retry import worth_trying
from ablations.sweep import sweep
from ablations.tending import make_way
from ablations.tuning_claims import Claims, Place
from ablations.tuning_gate import TrialGate, settle
from ablations.tuning_views import failures, print_choices
from ablations.views import absent_facts, print_absent, print_json
from ablations.workload import effort, effort_told
from core import inputs
from core.config import RunConfig
from core.errors import RunFailure, UserError
from core.lease import Leases
from core.store import Store, leases_folder
from reports.claims import Study

_TRIALS = 12


@dataclass(frozen=True)
class Search:
    """The trials of one arm; `name` is that of its Optuna study."""

    study: Study
    arm: str
    name: str
    config: RunConfig
    trials: tuple[tuning.Trial, ...]

    @property
    def places(self) -> list[Place]:
        own = tuning.values_of(self.config, tuple(self.trials[0].values))
        return [Place(self.name, own, trial) for trial in self.trials]


def tune(
    studies: Studies, preset: PresetName = None, data: Data = None, evaluation: Eval = None, sets: Sets = None,
    store: StorePath = Path(options.DEFAULT_STORE), device: Device = "cpu", strict: Strict = False, jobs: Jobs = None,
    trials: Annotated[
        int, typer.Option("--trials", min=2, max=1000, help="For every arm; more later go on from here.")
    ] = _TRIALS,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage", metavar="PATH|URL", help="Optuna storage: a journal file, or e.g. sqlite:///tuning.db.",
            show_default="tuning/journal.log in the store",
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Failed trials as well, but not those bound to fail in the same way.")
    ] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Search learning rates, margin, scale and distillation weight, equally for every arm.

    Trial 0 has the published values, trial 1 the preset's, the others are the same points for all arms. A trial is a
    shorter run on a seed of its own, judged on validation identities: test identities are never read. Then
    `run --tuned` trains with the values chosen. Values given with --set are those of trial 1. A trial that fails counts
    as the worst; only an arm of which all fail has no choice, and `tune` ends with 1.
    """
    chosen = options.choose(
        studies, preset, store, data=data, evaluation=evaluation, sets=sets, device=device, strict=strict
    )
    if not chosen.request.studies:
        raise UserError("`tune` needs studies, not a single run")
    chosen.store.check_writable()
    console = terminal.stderr()
    where = storage or str(tuning_store.journal_path(chosen.store))
    # Another storage may be shared by commands that have nothing else in common; of the store's own, leases are enough.
    claims = Claims(tuning_journal.open_other(storage)) if storage else None
    opened = None if storage else tuning_journal.open_journal(chosen.store, console)
    planned, searches = search_plan(chosen, trials)
    if claims is not None:
        planned = _not_done_elsewhere(planned, searches, claims)
    for study in chosen.request.studies:
        path = tuning_store.search_path(chosen.store, study, tuning_store.search_digest(study, planned.baseline))
        make_way(chosen.store, path, tuning_store.SCHEMA, console)
    make_gate = RunGate if claims is None else partial(TrialGate, claims, _claimed(searches), retry_failed)
    again = chosen.going_on(
        "tune", ("--trials", trials, _TRIALS), ("--storage", storage, None), ("--jobs", jobs, None),
        ("--retry-failed", retry_failed, False),
    )  # fmt: skip
    with told_when_stopped(console, again):
        _announce(console, planned, chosen.store, searches, trials, jobs, retry_failed)
        sweep(
            planned, chosen.store, console, jobs=jobs, retry_failed=retry_failed, fail_fast=False, make_gate=make_gate
        )
    if claims is not None:
        settled = iter(settle(claims, [place for one in searches for place in one.places], chosen.store))
        searches = [replace(one, trials=tuple(islice(settled, len(one.trials)))) for one in searches]
        claims.close()
    with Leases(leases_folder(chosen.store.root)).hold("tuning"):  # another `tune` may have the same to tell
        if opened is not None:
            searches = [_judged(search, chosen.store) for search in searches]
            for search in searches:
                tuning_store.tell(opened, search.name, search.config, search.trials)
        facts = _save(chosen, planned.baseline, searches)
    print_json({"storage": where, "studies": facts}) if as_json else print_choices(facts)
    if told := failures(facts):
        terminal.say(console, told)
    if lost := [search.name for search in searches if tuning.choose(search.trials) is None]:
        raise RunFailure("no_choice", f"all trials failed of {', '.join(lost)}: see `status`")


def search_plan(chosen: Chosen, count: int) -> tuple[Plan, list[Search]]:
    """The trials of every arm that can be run here, and the plan of the distinct runs behind them.

    Of a study that was searched with more trials than `count` it is those: a choice is never made anew of fewer.
    """
    arms = plan(replace(chosen.request, seeds=(tuning.TUNING_SEED,), control=False), chosen.store)
    full = {run.key: run for run in arms.runs}
    studies = {study.study: study for study in chosen.request.studies}
    digests = {name: tuning_store.search_digest(study, arms.baseline) for name, study in studies.items()}
    known = {name: tuning_store.trials_known(chosen.store, studies[name], digest) for name, digest in digests.items()}
    searches, runs = [], dict[str, Run]()
    for cell in arms.cells:
        if cell.key is None:
            continue
        arm, study = full[cell.key], studies[cell.study]
        if not tuning.fields_of(study, arm.config):
            raise UserError(
                f"study {study.study}: its arms declare {', '.join(tuning.SPACE)}, or have no use for them, so that "
                f"nothing of '{cell.arm}' is left to tune"
            )
        trials = []
        for trial in tuning.trials_of(study, arm.config, max(count, known[cell.study])):
            run = _run(arm, trial, f"{cell.study}/{cell.arm} trial {trial.number}", chosen.store)
            runs.setdefault(run.key, run)
            trials.append(replace(trial, key=run.key))
        name = f"{cell.study}/{cell.arm}-{digests[cell.study]}"
        searches.append(Search(study, cell.arm, name, arm.config, tuple(trials)))
    return replace(arms, runs=tuple(runs.values())), searches


def _run(arm: Run, trial: tuning.Trial, label: str, store: Store) -> Run:
    config = tuning.trial_config(arm.config, trial.values)
    key = inputs.run_key(config)
    guess = estimate(config, {})
    # The arm's estimate knows the rates of this store; a trial takes its share of it.
    seconds = arm.estimate.seconds * guess.seconds / estimate(arm.config, {}).seconds
    return planned_run(key, config, label, store, replace(guess, seconds=round(seconds, 1)), digests=True)


def _announce(
    console: Console, planned: Plan, store: Store, searches: Sequence[Search], trials: int, jobs: int | None,
    retry_failed: bool,
) -> None:  # fmt: skip
    """What is about to happen, and what cannot."""
    pending, _ = worth_trying(planned.pending(retry_failed), store)
    print_absent(console, absent_facts(planned, pending))
    device = planned.baseline.runtime.device
    measure_if_worth(planned.seconds(retry_failed), jobs, device, console.print)
    new = len(planned.pending(retry_failed=False))
    again = f", {len(pending) - new} to be tried again" if len(pending) > new else ""
    counts = sorted({len(search.trials) for search in searches})
    each = " to ".join(map(str, counts[:1] + counts[1:][-1:])) or str(trials)
    kept = ", as they were searched with before" if counts and counts[-1] > trials else ""
    line = f"{each} trials each of {len(searches)} arms{kept}: {len(planned.runs)} different runs, {new} new{again}"
    if pending:
        guess = effort(pending, Layout.choose(jobs, len(pending), device).jobs)
        line += f"; {effort_told(guess)}"
    terminal.say(console, line)
    judged_on = inputs.corpus_of(planned.baseline).notes["validation"]
    terminal.say(console, f"judged on {judged_on}, for validation")


def _claimed(searches: Sequence[Search]) -> dict[str, Place]:
    """Where each run is claimed, by its key: of trials that share a run, the first arm's stands for all."""
    places: dict[str, Place] = {}
    for search in searches:
        for place in search.places:
            places.setdefault(place.trial.key, place)
    return places


def _not_done_elsewhere(planned: Plan, searches: Sequence[Search], claims: Claims) -> Plan:
    """The plan without the runs that the storage knows as done, of whichever arm that shares them."""
    places = [place for search in searches for place in search.places]
    done = {place.trial.key for place in places if claims.state(place) == "done"}
    return replace(planned, runs=tuple(run for run in planned.runs if run.state == "done" or run.key not in done))


def _judged(search: Search, store: Store) -> Search:
    return replace(search, trials=tuple(tuning_store.judged(trial, store) for trial in search.trials))


def _save(chosen: Chosen, baseline: RunConfig, searches: Sequence[Search]) -> list[dict[str, Any]]:
    """Write the choices, a file a study; the facts to print. One that was made of more trials meanwhile stays."""
    facts = []
    for study in chosen.request.studies:
        own = [search for search in searches if search.study is study]
        arms = {search.arm: {"optuna": search.name, **tuning.record(search.trials)} for search in own}
        digest = tuning_store.search_digest(study, baseline)
        path = tuning_store.search_path(chosen.store, study, digest)
        most = max((len(search.trials) for search in own), default=0)
        if tuning_store.trials_known(chosen.store, study, digest) > most:
            arms = tuning_store.read_arms(path)
        else:
            tuning_store.save(chosen.store, study, digest, chosen.request.preset.preset, arms)
        facts.append({"study": study.study, "digest": digest, "file": str(path), "arms": arms})
    return facts
