"""Trials that several `tune` commands share through a storage: each starts where nobody else has it, and is told of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ablations import tuning_store
from ablations.executors.gate import Answer, RunGate
from ablations.executors.worker import Task
from ablations.tuning import Trial
from ablations.tuning_claims import Claims, Place
from core.errors import RunFailure
from core.store import Store


class TrialGate(RunGate):
    """A trial starts while both its claim in the storage and its run's lease in the store are held.

    Args:
        claims: of the storage.
        places: where each run's trial is claimed, by the run's key.
        retry_failed: failed trials are free.
        run: of `RunGate`.
    """

    def __init__(
        self, claims: Claims, places: Mapping[str, Place], retry_failed: bool, store: Store, *run: Any
    ) -> None:  # fmt: skip
        super().__init__(store, *run)
        self._claims, self._places, self._retry = claims, places, retry_failed

    def admit(self, task: Task) -> Answer:
        place = self._places[task.key]
        found = self._claims.state(place)
        if found == "done" or (found == "failed" and not self._retry):
            return self._ended_elsewhere(task, "done" if found == "done" else "failed")
        if found == "taken":
            self._others[task.key] = self._claims.holder(place)
            return "wait"
        answer = super().admit(task)
        if answer == "go" and not self._claims.take(place):
            super().leave(task)
            return "wait"
        return answer

    def holds(self, task: Task) -> bool:
        return super().holds(task) and self._claims.holds(self._places[task.key])

    def leave(self, task: Task) -> None:
        place = self._places[task.key]
        if self._claims.holds(place):
            if (judged := judged_here(place.trial, self._store)) is not None:
                self._claims.tell(judged, place)
            else:
                self._claims.give_up(place)
        super().leave(task)

    def close(self) -> None:
        self._claims.give_up_all()
        super().close()


def judged_here(trial: Trial, store: Store) -> Trial | None:
    """The trial with what its run in this store came to; None where that is neither done nor failed."""
    try:
        return tuning_store.judged(trial, store)
    except RunFailure:
        return None


def settle(claims: Claims, places: Iterable[Place], store: Store) -> list[Trial]:
    """Every place's trial with what it came to, here or elsewhere; the storage is told what it lacks.

    Of places that share a run one is claimed for all (`TrialGate`), and who trained it may have died before it told the
    others: so what is known of any of them is told of all. What the storage has goes first, so that all commands that
    share it know the same.

    Args:
        places: of all arms, as those of another arm may share a run.

    Raises:
        RunFailure: `not_finished`, of a trial that nobody has finished.
        UserError: a result or the storage cannot be read.
    """
    wanted, sharing = list(places), defaultdict[str, list[Place]](list)
    for place in wanted:
        sharing[place.trial.key].append(place)
    settled = {}
    for same in sharing.values():
        here, told = judged_here(same[0].trial, store), [claims.result(place) for place in same]
        for place, own in zip(same, told, strict=True):
            best = _best(own, here, *told)
            if best is None:
                best = tuning_store.judged(place.trial, store)  # which says that it is not finished
            best = replace(place.trial, value=best.value, auroc=best.auroc, failure=best.failure)
            if (own is None or (own.failure and not best.failure)) and claims.take(place):
                claims.tell(best, place)
            settled[place.id] = best
    return [settled[place.id] for place in wanted]


def _best(*known: Trial | None) -> Trial | None:
    """The first that did not fail, else the first failure; None where nothing is known."""
    ended = [one for one in known if one is not None]
    return next((one for one in ended if not one.failure), next(iter(ended), None))
