"""Which of several `tune` commands trains which trial, where nothing is shared but an Optuna storage.

A claim is a running Optuna trial of the arm's study, with the trial's number in its attributes; of several for one
number the lowest Optuna number has it, and the others withdraw. A claim's holder raises a counter now and then. Who
sees the same count for a whole lease, by its own clock, takes the holder for dead, fails its claim and may claim the
trial itself, as `core.lease` has it for stores. What a trial came to is read from the storage by all that did not train
it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ablations.tuning import Trial, distributions
from core import json_text
from core.errors import UserError, first_line
from core.lease import BEAT, LEASE
from core.process import Process

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

State = Literal["free", "taken", "done", "failed"]
_FRESH = 1.0  # seconds for which what was read of a study is taken for what is there
_LOOKS = 6  # a lease is not over before it was looked at so often
_DIED = "worker_died: the process that trained it gave no sign of life any more"


@dataclass(frozen=True)
class Place:
    """A trial of an arm: the name of the arm's Optuna study, the arm's own values of what is tuned, the trial."""

    study: str
    own: Mapping[str, float]
    trial: Trial

    @property
    def id(self) -> tuple[str, int]:
        return self.study, self.trial.number


@dataclass
class _Silence:
    """For how long the same count of a holder was seen."""

    beat: Any
    looked: float
    seconds: float = 0.0


@dataclass
class _Held:
    id: int  # Optuna's, of the claim
    beats: int = 0
    lost: bool = False


class Claims:
    """The claims that this process has, and what it knows of others'.

    Args:
        lease: seconds of silence after which another process is taken for dead.
        beat: seconds between this one's signs of life.

    Every method raises `UserError` where the storage cannot be read or written.
    """

    def __init__(self, storage: BaseStorage, *, lease: float = LEASE, beat: float = BEAT) -> None:
        self._storage, self._lease = storage, lease
        self._me = Process.own()
        self._ids: dict[str, int] = {}
        self._read: dict[str, tuple[float, list[FrozenTrial]]] = {}
        self._silences: dict[int, _Silence] = {}  # by Optuna's number of the claim
        self._held: dict[tuple[str, int], _Held] = {}
        self._lock, self._ended = threading.Lock(), threading.Event()
        threading.Thread(target=self._live, args=(beat,), daemon=True, name="claims").start()

    def state(self, place: Place) -> State:
        """Whether a trial is free, in work elsewhere (here, too), done or failed."""
        told = self._of(place, _FRESH)
        if any(one.state.name == "COMPLETE" for one in told):
            return "done"
        if any(self._lives(one) for one in told):
            return "taken"
        return "failed" if any(_is_failure(one) for one in told) else "free"

    def holder(self, place: Place) -> str:
        """Who has a trial in work, for people."""
        told = [one for one in self._of(place, _FRESH) if one.state.name == "RUNNING"]
        process = _process(told[0]) if told else None
        return str(process or "another process")

    def result(self, place: Place) -> Trial | None:
        """The trial with what it came to, as the storage has it; None for one that is neither done nor failed."""
        told = self._of(place, 0)
        for one in told:
            if one.state.name == "COMPLETE":
                return replace(place.trial, value=float(one.value or 0), auroc=float(one.user_attrs.get("auroc", 0)))
        failed = next((one for one in told if _is_failure(one)), None)
        return None if failed is None else replace(place.trial, failure=str(failed.user_attrs["failure"]))

    def take(self, place: Place) -> bool:
        """Claim a trial; False where another process has it, or has done it meanwhile."""
        from optuna.trial import TrialState, create_trial

        trial = place.trial
        about = {
            "trial": trial.number, "origin": trial.origin, "key": trial.key, "beat": 0,
            "process": json.dumps(self._me.to_json()),
        }  # fmt: skip
        space = distributions(place.own)
        running = create_trial(
            state=TrialState.RUNNING, params=dict(trial.values), distributions=space, user_attrs=about
        )
        with _storage_errors(place.study):
            number = self._storage.create_new_trial(self._id(place.study), running)
        standing = [
            one for one in self._of(place, 0)
            if one._trial_id == number or one.state.name == "COMPLETE" or self._lives(one)
        ]  # fmt: skip
        if min(standing, key=lambda one: one.number)._trial_id != number:
            self._end(number, {"withdrawn": True}, None)
            return False
        with self._lock:
            self._held[place.id] = _Held(number)
        return True

    def holds(self, place: Place) -> bool:
        """Whether a claim is still this process's."""
        return place.id in self._held and not self._held[place.id].lost

    def tell(self, judged: Trial, place: Place) -> None:
        """What became of a claimed trial; nothing, if the claim was taken over meanwhile."""
        if (held := self._let_go(place.id)) is not None:
            about = {"failure": judged.failure} if judged.failure else {"auroc": judged.auroc}
            self._end(held.id, about, None if judged.failure else judged.value)

    def give_up(self, place: Place) -> None:
        """Leave a claimed trial to whoever comes."""
        self._give_up(place.id)

    def close(self) -> None:
        """Give up all that is held, and give no sign of life any more."""
        self._ended.set()
        self.give_up_all()

    def give_up_all(self) -> None:
        """Leave all that is held to whoever comes."""
        for place in list(self._held):
            with suppress(UserError):
                self._give_up(place)

    def _give_up(self, place: tuple[str, int]) -> None:
        if (held := self._let_go(place)) is not None:
            self._end(held.id, {"withdrawn": True}, None)

    def _let_go(self, place: tuple[str, int]) -> _Held | None:
        with self._lock:
            return self._held.pop(place, None)

    def _end(self, number: int, about: Mapping[str, Any], value: float | None) -> None:
        """Finish an Optuna trial; one that another process finished stays as that left it."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        with _storage_errors("a trial"), suppress(UpdateFinishedTrialError):
            for name, told in about.items():
                self._storage.set_trial_user_attr(number, name, told)
            state = TrialState.FAIL if value is None else TrialState.COMPLETE
            self._storage.set_trial_state_values(number, state, None if value is None else [value])
        self._read.clear()

    def _id(self, study: str) -> int:
        import optuna

        if study not in self._ids:
            with _storage_errors(study):
                made = optuna.create_study(
                    storage=self._storage, study_name=study, direction="maximize", load_if_exists=True
                )
            self._ids[study] = made._study_id
        return self._ids[study]

    def _of(self, place: Place, fresh: float) -> list[FrozenTrial]:
        """All Optuna trials of a place, withdrawn ones aside, read no longer than `fresh` seconds ago.

        A trial's key says of which run it tells: what another one came to under the same number is not this one's.
        """
        read, trials = self._read.get(place.study, (-1.0, []))
        if read < 0 or time.monotonic() - read > fresh:
            study = self._id(place.study)
            with _storage_errors(place.study):
                trials = self._storage.get_all_trials(study, deepcopy=False)
            self._read[place.study] = time.monotonic(), trials
        mine = (place.trial.number, place.trial.key)
        told = [(one, (one.user_attrs.get("trial"), one.user_attrs.get("key"))) for one in trials]
        return [one for one, about in told if about == mine and not _withdrawn(one)]

    def _lives(self, one: FrozenTrial) -> bool:
        """Whether a claim's holder is at work; one that is taken for dead loses it here."""
        if one.state.name != "RUNNING":
            return False
        process, now, beat = _process(one), time.monotonic(), one.user_attrs.get("beat")
        seen = self._silences.get(one._trial_id)
        if seen is None or seen.beat != beat:
            self._silences[one._trial_id] = seen = _Silence(beat, now)
        # Time in which this process, or the storage, stood still says nothing of the holder: a look counts little.
        seen.seconds += min(now - seen.looked, self._lease / _LOOKS)
        seen.looked = now
        if seen.seconds < self._lease and not (process is not None and process.gone):
            return True
        self._end(one._trial_id, {"withdrawn": True, "failure": _DIED}, None)
        return False

    def _live(self, every: float) -> None:
        from optuna.exceptions import UpdateFinishedTrialError

        while not self._ended.wait(every):
            with self._lock:
                held = list(self._held.values())
            for one in held:
                one.beats += 1
                try:
                    self._storage.set_trial_user_attr(one.id, "beat", one.beats)
                except UpdateFinishedTrialError:
                    one.lost = True
                except Exception:  # cut off from the storage for now: others judge by our silence
                    continue


@contextmanager
def _storage_errors(what: str) -> Iterator[None]:
    """Whatever a database raises, as the user's line."""
    from optuna.exceptions import UpdateFinishedTrialError

    try:
        yield
    except UpdateFinishedTrialError:
        raise
    except Exception as error:
        reason = first_line(error)
        raise UserError(f"--storage: {what} cannot be read or written ({reason})") from None


def _withdrawn(one: FrozenTrial) -> bool:
    return bool(one.user_attrs.get("withdrawn"))


def _is_failure(one: FrozenTrial) -> bool:
    return one.state.name == "FAIL" and "failure" in one.user_attrs


def _process(one: FrozenTrial) -> Process | None:
    try:
        return Process.of(json_text.value_of(str(one.user_attrs.get("process", ""))))
    except ValueError:
        return None
