"""Which runs a request means: arms x seeds, deduplicated by key, minus what the store has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ablations.arm_config import arm_config, lowered, one_arm_by_two_names
from ablations.estimate import Estimate, Rates, estimate, measured_rates
from ablations.judged_alike import JudgedAlike, alike_note, judged_alike
from ablations.own_images import folder_notes, verdict_notes
from ablations.preset import Preset
from ablations.tuned import with_tuned
from core import inputs
from core.config import SEEDS_BELOW, RunConfig
from core.errors import UserError
from core.integrity import Condition, examine
from core.model import hub
from core.store import Store
from reports.cells import Cell
from reports.claims import Study
from reports.control import AGAIN, CONTROL, control_offset, control_study

Place = tuple[str, str]  # (study, arm)


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    studies: tuple[Study, ...]
    preset: Preset
    seeds: tuple[int, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    config: RunConfig | None = None  # one run, given whole
    tuned: bool = False  # also with the values that `tune` chose
    arm_seeds: Mapping[Place, tuple[int, ...]] = field(default_factory=dict)  # of arms that have seeds of their own
    control: bool = True  # with studies: the baseline against itself on other seeds
    deciding: bool = False  # no runs of arms that are only shown beside the verdicts

    def seeds_of(self, study: str, arm: str) -> tuple[int, ...]:
        return self.arm_seeds.get((study, arm), self.seeds)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        return (*self.seeds, *(seed for seeds in self.arm_seeds.values() for seed in seeds))


@dataclass(frozen=True)
class Run:
    """One distinct run of a plan, with the first place that wants it; `seed` is that place's."""

    key: str
    config: RunConfig
    label: str
    state: Condition
    estimate: Estimate
    seed: int = 0
    reason: str = ""  # of a run that is damaged, or of a newer version


@dataclass(frozen=True)
class Plan:
    """All cells of the reports, and the distinct runs behind them; of arms left out there are cells alone."""

    cells: tuple[Cell, ...]
    runs: tuple[Run, ...]
    baseline: RunConfig
    notes: tuple[str, ...] = ()
    tuning: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # study -> arm -> its search

    def counts(self) -> dict[str, int]:
        """Distinct runs by state, and arms that are asked for and cannot be run here."""
        states = Counter(run.state for run in self.runs)
        unavailable = len({(cell.study, cell.arm) for cell in self.cells if cell.key is None and cell.asked})
        return {
            "new": states["new"], "cached": states["done"], "failed": states["failed"], "damaged": states["damaged"],
            "newer": states["newer"], "unavailable": unavailable,
        }  # fmt: skip

    def seconds(self, retry_failed: bool = False) -> float:
        """Estimated core-seconds of the runs that are to be trained."""
        return sum(run.estimate.seconds for run in self.pending(retry_failed))

    def pending(self, retry_failed: bool) -> list[Run]:
        """Runs to train: seeds in turn, so that every arm has its first seed early; the longest first.

        Damaged ones are among them, to be set aside before; those of a newer version are not.
        """
        wanted = ("new", "damaged", "failed") if retry_failed else ("new", "damaged")
        runs = [run for run in self.runs if run.state in wanted]
        return sorted(runs, key=lambda run: (run.seed, -run.estimate.seconds))


def plan(
    request: Request, store: Store, *, digests: bool = False, rates: Rates | None = None
) -> Plan:  # fmt: skip
    """Work out a request.

    Args:
        rates: of `measured_rates`, for who plans several requests of one store; None reads them.
        digests: whether scores of runs that are done are read, and held to what was written; else their size is.

    Raises:
        UserError: data that cannot be used, a baseline that cannot be run, an override out of range.
    """
    if request.config is not None:
        return _plan_one(request.config, store, digests)
    offset = _control_offset(request)
    baseline, notes = baseline_of(request)
    rates = measured_rates(store) if rates is None else rates
    cells: list[Cell] = []
    runs: dict[str, Run] = {}
    alike: dict[Place, JudgedAlike | None] = {}  # of a pool of a million images its digest takes a while

    def add(study: str, arm: str, seed: int, config: RunConfig, wanted: bool = True) -> None:
        """A cell, and its run if that is wanted, unless an earlier cell has it."""
        key = inputs.run_key(config)
        if (study, arm) not in alike:
            alike[study, arm] = judged_alike(config)
        found = alike[study, arm]
        cells.append(Cell(study, arm, seed, key, asked=wanted, alike=found.alike if found else None))
        if wanted and key not in runs:
            label = f"{study}/{arm} seed {seed}"
            runs[key] = planned_run(key, config, label, store, estimate(config, rates), seed, digests=digests)

    for study in request.studies:
        configs: dict[str, RunConfig] = {}
        for name, arm in study.arms.items():
            config, told = arm_config(study, name, arm, baseline)
            if config is not None:
                configs[name] = config
                notes += [f"{study.study}/{name}: {told}"] if told else []
            wanted = not request.deciding or name in study.deciding
            for seed in request.seeds_of(study.study, name):
                if config is None:
                    cells.append(Cell(study.study, name, seed, None, told, asked=wanted))
                else:
                    add(study.study, name, seed, config.with_overrides({"seed": seed}), wanted)
        _refuse_empty(study, cells)
        notes += one_arm_by_two_names(study, configs)
    if request.control and request.studies:
        # After the studies, so that the baseline's runs keep the names of the studies that want them.
        for name in control_study().arms:
            added = offset if name == AGAIN else 0
            for seed in request.seeds_of(CONTROL, name):
                add(CONTROL, name, seed, baseline.with_overrides({"seed": seed + added}))
    planned = Plan(tuple(cells), tuple(runs.values()), baseline, tuple(notes))
    return with_tuned(planned, request, store, digests=digests) if request.tuned else planned


def planned_run(
    key: str, config: RunConfig, label: str, store: Store, guess: Estimate, seed: int = 0, *, digests: bool
) -> Run:
    """A run as the store has it; `digests` as of `plan`."""
    found = examine(store, key, digests=digests)
    return Run(key, config, label, found.condition, guess, seed, found.reason)


def _plan_one(config: RunConfig, store: Store, digests: bool) -> Plan:
    notes = tuple(folder_notes(config))
    inputs.require(config)
    key, guess = inputs.run_key(config), estimate(config, measured_rates(store))
    run = planned_run(key, config, f"config seed {config.seed}", store, guess, digests=digests)
    return Plan((Cell("config", "config", config.seed, key),), (run,), config, notes)


def baseline_of(request: Request) -> tuple[RunConfig, list[str]]:
    """The preset with the user's overrides, and notes; a folder with too few images for it lowers `data.images`.

    Raises:
        UserError: as `plan`.
    """
    config = RunConfig().with_overrides({**request.preset.set, **request.overrides})
    # A preset on the base of one that requires them may have weights of its own.
    needed = "imagenet_weights" in request.preset.requires and config.model.pretrained == "imagenet"
    if needed and (why_not := hub.why_not_imagenet(config.model.backbone)):
        raise UserError(f"preset {request.preset.preset}: {why_not} (with --set)")
    notes = [*folder_notes(config), *alike_note(config)]
    available = len(inputs.corpus_of(config).train)
    if config.data.images > available:
        if "data.images" in request.overrides or config.data.source == ("procedural",):
            more = "raise data.pool" if config.data.source == ("procedural",) else "add images"
            raise UserError(
                f"data.images is {config.data.images}, but there are {available} images to train on: give at most that "
                f"many with --set data.images, or {more}"
            )
        notes.append(lowered(config, available))
        config = config.with_overrides({"data.images": available})
    notes += verdict_notes(config)
    inputs.require(config)  # weights that cannot be had are said before anything runs
    return config, notes


def _control_offset(request: Request) -> int:
    """What the control adds to a seed.

    Raises:
        UserError: there is no room for it below the largest; the field's own refusal would be of a number nobody gave.
    """
    offset = control_offset(request.all_seeds)
    if request.control and max(request.all_seeds, default=0) + offset >= SEEDS_BELOW:
        raise UserError(
            f"--seeds: the A/A control adds {offset} to each, and seeds must be below {SEEDS_BELOW}: take smaller "
            "ones, or leave it out with --no-control"
        )
    return offset


def _refuse_empty(study: Study, cells: Sequence[Cell]) -> None:
    own = {cell.arm: cell for cell in cells if cell.study == study.study}
    if sum(cell.key is not None for cell in own.values()) < 2:
        reason = next(cell.reason for cell in own.values() if cell.key is None)
        raise UserError(f"study {study.study}: only its baseline can be run here; {reason}")
