"""Settling: what is known of a run is told of every arm that shares it, once, whoever died or is at it as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from ablations.tuning_claims import Claims, Place
from ablations.tuning_gate import settle
from ablations.tuning_store import open_storage
from core.store import Store
from tests.ablations.conftest import at_once
from tests.ablations.test_tuning import done
from tests.ablations.test_tuning_claims import place, states


def shared(number: int = 0) -> tuple[Place, Place]:
    """The places of two arms that share the run of a trial."""
    return place(number), place(number, "mine/same-0")


@pytest.fixture
def claims(tmp_path: Path) -> Iterator[Callable[[], Claims]]:
    made = []

    def open_claims() -> Claims:
        made.append(Claims(open_storage(str(tmp_path / "journal.log"))))
        return made[-1]

    yield open_claims
    for one in made:
        one.close()


def test_what_a_trial_came_to_under_one_arm_is_told_under_all_that_share_its_run(
    claims: Callable[[], Claims], tmp_path: Path
) -> None:
    ours, theirs, store = claims(), claims(), Store(tmp_path / "runs")
    (first, second), (third, fourth), (fifth, sixth) = shared(0), shared(1), shared(2)
    places = [first, third, fifth, second, fourth, sixth]
    for one, told in (
        (first, {"value": 0.25, "auroc": 0.3}), (third, {"failure": "diverged: the loss is nan"}),
        (fifth, {"failure": "worker_died: killed"}), (sixth, {"value": 0.5, "auroc": 0.6}),
    ):  # fmt: skip
        theirs.take(one)
        theirs.tell(replace(one.trial, **told), one)
    theirs.close()  # it died before it told the other arm
    found = settle(ours, places, store)
    assert found[:3] == found[3:]
    assert [(one.value, one.auroc, one.failure) for one in found[:3]] == [
        (0.25, 0.3, ""), (0.0, 0.0, "diverged: the loss is nan"), (0.5, 0.6, ""),
    ]  # fmt: skip
    assert [theirs.result(one) for one in places] == found
    assert states(ours, second).count("COMPLETE") == 2  # of two trials
    assert settle(claims(), [second, sixth], store) == [found[3], found[5]]


def test_an_arm_that_another_command_tells_meanwhile_is_not_told_twice(
    claims: Callable[[], Claims], tmp_path: Path
) -> None:
    ours, theirs = claims(), claims()
    first, second = shared()
    theirs.take(first)
    theirs.tell(replace(first.trial, value=0.25, auroc=0.3), first)
    theirs.take(second)
    (_, known) = settle(ours, [first, second], Store(tmp_path / "runs"))
    assert (known.value, known.auroc) == (0.25, 0.3)
    theirs.tell(replace(second.trial, value=0.25, auroc=0.3), second)
    assert set(states(ours, second)) == {"COMPLETE", "FAIL withdrawn"}


def test_what_the_storage_has_goes_before_what_a_store_has(claims: Callable[[], Claims], tmp_path: Path) -> None:
    ours, store, (first, second) = claims(), Store(tmp_path / "runs"), shared()
    ours.take(first)
    ours.tell(replace(first.trial, value=0.25, auroc=0.3), first)
    done(store, first.trial.key, value=0.5)  # trained twice, on machines whose bits differ
    found = settle(claims(), [first, second], Store(tmp_path / "elsewhere"))
    assert [one.value for one in found] == [0.25, 0.25]
    assert settle(ours, [first, second], store) == found


def test_several_that_settle_at_once_tell_every_arm_once_and_know_the_same(tmp_path: Path) -> None:
    where, known = str(tmp_path / "journal.log"), []
    places = [one for number in range(3) for one in shared(number)]
    told = Claims(open_storage(where))
    for one in places[::2]:
        told.take(one)
        told.tell(replace(one.trial, value=0.5, auroc=0.5), one)
    told.close()

    def work() -> None:
        own = Claims(open_storage(where))
        known.append(settle(own, places, Store(tmp_path / "runs")))
        own.close()

    at_once(work)
    assert len(known) == 4
    assert {one.value for settled in known for one in settled} == {0.5}
    for name in ("mine/ln-0", "mine/same-0"):
        trials = optuna.load_study(study_name=name, storage=open_storage(where)).trials
        assert sum(one.state.name == "COMPLETE" for one in trials) == 3
