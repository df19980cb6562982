"""Where searches live: trials in an Optuna storage for its own tools, choices in a file that plans read."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.arm_config import arm_config
from ablations.journal_lock import journal_lock
from ablations.tuning import OBJECTIVE, SPACE, Trial, digest, distributions, values_of
from core import inputs, record
from core.config import RunConfig
from core.errors import RunFailure, UserError, first_line
from core.record import Damaged
from core.store import Store, storage_failure, write_atomic
from reports.claims import Study
from reports.runs import number_at, read_run

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

_FIELDS = {"values", "trials", "failed", "at_edge"}
_WAITS = (0.2, 0.5, 1.0)  # seconds between attempts to open a database
SCHEMA = 2  # of a search; 1 had no checksum
FOLDER = "tuning"  # of a store


def choice_files(root: Path) -> list[Path]:
    """Where choices were written under a store's root, sorted; none where nothing was tuned."""
    return sorted((root / FOLDER).glob("*.json"))


def journal_path(store: Store) -> Path:
    """Where the store's own Optuna journal is, if it has one."""
    return store.root / FOLDER / "journal.log"


def make_folder(store: Store) -> None:
    """Make the part of a store that belongs to tuning, if it is not there; raises `RunFailure`."""
    path = store.root / FOLDER
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_failure(path, error) from error


def search_digest(study: Study, baseline: RunConfig) -> str:
    """The digest of a study's search on the files that `baseline` and the arms' own fields point to."""
    shared, own = inputs.fingerprints(baseline), {}
    for name, arm in study.arms.items():
        config, _ = arm_config(study, name, arm, baseline)
        found = inputs.fingerprints(config) if config is not None else {}
        if differing := {what: told for what, told in found.items() if told != shared.get(what) and _of_content(told)}:
            own[name] = differing
    return digest(study, baseline, shared, own)


def _of_content(fingerprint: str) -> bool:
    """Not of a name alone, which the arm has already, and which may be out of reach for a while (`imagenet`)."""
    return fingerprint not in ("none", "random") and not fingerprint.startswith(("imagenet:", "openai:"))


def open_storage(where: str) -> BaseStorage:
    """Any URL that Optuna takes, or the path of a journal file; `UserError` where it cannot be opened."""
    import optuna
    from optuna.storages import JournalStorage, get_storage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if "://" in where:
            return _patient(partial(get_storage, _with_driver(where)))
        Path(where).parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(where, journal_lock(Path(where))))
    except Exception as error:  # each database has its own
        reason = first_line(error)
        if where.startswith("postgresql") and "import" in reason:
            reason = "its driver is not installed: pip install 'docablate[postgresql]'"
        raise UserError(f"--storage {where}: cannot be opened ({reason}): give a path or a database URL") from None


def _patient(connect: Callable[[], BaseStorage]) -> BaseStorage:
    """Of several that make the tables of an empty database at once all but one fail, and find them there afterwards."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    for wait in _WAITS:
        try:
            return connect()
        except (SQLAlchemyError, StorageInternalError):
            time.sleep(wait)
    return connect()


def _with_driver(url: str) -> str:
    """PostgreSQL by the driver that we install, whichever this version of SQLAlchemy would take."""
    scheme, rest = url.split("://", 1)
    return f"postgresql+psycopg://{rest}" if scheme == "postgresql" else url


def judged(trial: Trial, store: Store) -> Trial:
    """The trial with what its run came to, on validation identities.

    Raises:
        RunFailure: `not_finished`, for a run that is neither done nor failed.
        UserError: a result that cannot be read.
        ValueError: a run that was judged on test identities.
    """
    read = read_run(trial.key, store)
    if read.state == "failed":
        return replace(trial, failure=read.reason)
    if read.state == "missing":
        raise RunFailure("not_finished", f"trial {trial.number} ({trial.key}) is not finished: run `tune` again")
    if read.result is None:
        raise UserError(read.reason)
    if read.result["config"]["eval"]["judged"] != "validation":
        raise ValueError(f"{trial.key} was judged on test identities, which tuning never reads")
    value, auroc = (number_at(read.result, f"metrics.{name}") for name in (OBJECTIVE, "auroc"))
    return replace(trial, value=value, auroc=auroc)


def tell(storage: BaseStorage, name: str, config: RunConfig, trials: Sequence[Trial]) -> None:
    """Add the trials that the Optuna study `name` lacks; a failed one that was trained again is added again.

    Raises:
        UserError: the storage cannot be read or written.
    """
    tell_values(storage, name, values_of(config, tuple(trials[0].values)), trials)


def tell_values(storage: BaseStorage, name: str, own: Mapping[str, float], trials: Sequence[Trial]) -> None:
    """`tell`, by the arm's `own` values of the fields that are tuned."""
    import optuna
    from optuna.trial import TrialState, create_trial

    try:
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
        told = [(one.user_attrs, one.state) for one in study.get_trials(deepcopy=False)]
        known = {(about.get("trial"), about.get("key")): state for about, state in told}
        for trial in trials:
            state = TrialState.FAIL if trial.failure else TrialState.COMPLETE
            if known.get((trial.number, trial.key)) in (state, TrialState.COMPLETE):
                continue
            about = {"trial": trial.number, "origin": trial.origin, "key": trial.key}
            about |= {"failure": trial.failure} if trial.failure else {"auroc": trial.auroc}
            study.add_trial(
                create_trial(
                    state=state, value=None if trial.failure else trial.value, params=dict(trial.values),
                    distributions=distributions(own), user_attrs=about,
                )
            )  # fmt: skip
    except Exception as error:  # each database has its own
        reason = first_line(error)
        raise UserError(f"--storage: '{name}' cannot be written ({reason})") from None


def save(store: Store, study: Study, search: str, preset: str, arms: Mapping[str, Any]) -> Path:
    """Write the choices of a study, whole or not at all; raises `RunFailure` where that cannot be done."""
    path = search_path(store, study, search)
    make_folder(store)
    facts = {"study": study.study, "digest": search, "preset": preset, "arms": dict(arms)}
    write_atomic(path, record.seal(facts, SCHEMA))
    return path


def _is_search(arm: object) -> bool:
    """Whether a record has what plans and reports read of it, and sets no field that is not searched."""
    if not isinstance(arm, dict) or not set(arm) >= _FIELDS:
        return False
    values, edge = arm["values"], arm["at_edge"]
    chosen = isinstance(values, dict) and set(values) <= set(SPACE) and all(map(_is_number, values.values()))
    searched = isinstance(edge, list) and all(isinstance(one, str) and one in SPACE for one in edge)
    trials = isinstance(arm["trials"], list) and all(map(_is_trial, arm["trials"]))
    return (chosen or values is None) and searched and trials


def _is_trial(told: object) -> bool:
    """Whether it has what `ablations.tuning_journal` tells Optuna of a trial."""
    if not isinstance(told, dict) or not isinstance(told.get("values"), dict):
        return False
    words = all(isinstance(told.get(name), str) for name in ("origin", "key", "failure"))
    numbers = all(map(_is_number, (told.get("value"), told.get("auroc"), *told["values"].values())))
    return words and numbers and type(told.get("trial")) is int


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def search_path(store: Store, study: Study, search: str) -> Path:
    """Where the choices of a study are kept."""
    return store.root / FOLDER / f"{study.study}-{search}.json"


def trials_known(store: Store, study: Study, search: str) -> int:
    """How many trials an arm of the study had when its choices were written; 0 where they were not, or are damaged."""
    try:
        arms = read_arms(search_path(store, study, search), study.study)
    except (UserError, FileNotFoundError):
        return 0
    return max((len(arm["trials"]) for arm in arms.values()), default=0)


def load(store: Store, study: Study, baseline: RunConfig) -> dict[str, Any]:
    """Arm -> record (`ablations.tuning.record`) of the study's search on this baseline; empty without one.

    Raises:
        Damaged, Newer: naming the file.
    """
    path = search_path(store, study, search_digest(study, baseline))
    try:
        return read_arms(path, study.study)
    except FileNotFoundError:
        return {}


def read_arms(path: Path, study: str = "") -> dict[str, Any]:
    """Arm -> record of a search's file; raises as `core.record.read`, and `Damaged` of a link that leads nowhere."""
    remedy = f"run `python -m ablations tune {study or 'STUDY'}` again, which trains nothing that is done"
    try:
        facts = record.read(path, SCHEMA, remedy)
    except FileNotFoundError:
        if path.is_symlink():
            raise Damaged(path, "a link that leads nowhere", remedy) from None
        raise
    arms = facts.get("arms")
    whole = isinstance(arms, dict) and all(_is_search(one) for one in arms.values())
    if facts.get("schema") not in range(1, SCHEMA + 1) or not isinstance(arms, dict) or not whole:
        raise Damaged(path, "it does not hold a search", remedy)
    return arms
