"""Claims in a storage: one holder a trial, the dead replaced, results read by all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from ablations.tuning import Trial
from ablations.tuning_claims import Claims, Place
from ablations.tuning_gate import settle
from ablations.tuning_store import open_storage
from core.errors import RunFailure, UserError
from core.store import Store
from tests.ablations.conftest import at_once
from tests.ablations.test_tuning import done

Open = Callable[..., Claims]


def place(number: int = 0, study: str = "mine/ln-0") -> Place:
    return Place(study, {"optim.lr": 1e-3}, Trial(number, "sobol", {"optim.lr": 2e-3}, f"{number:016x}"))


@pytest.fixture(params=["journal.log", "sqlite:///{}/trials.db"])
def claims(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    where = request.param.format(tmp_path) if "://" in request.param else str(tmp_path / request.param)
    made = []

    def open_claims(**options: Any) -> Claims:
        made.append(Claims(open_storage(where), **options))
        return made[-1]

    yield open_claims
    for one in made:
        one.close()


def forget(one: Claims) -> Claims:
    """As if a second had gone by since the last look."""
    one._read.clear()
    return one


def silent(one: Claims, lease: float) -> str:
    """The trial's state to who looks often while nothing is heard of its holder for a lease."""
    for _ in range(12):
        time.sleep(lease / 10)
        state = forget(one).state(place())
    return state


def elsewhere(one: Claims) -> None:
    """Claims as of a process of another machine, of which nothing is known but its signs of life."""
    one._me = replace(one._me, place="another boot", host="other")


def states(one: Claims, of: Place) -> list[str]:
    told = one._storage.get_all_trials(one._id(of.study))
    return [f"{trial.state.name}{' withdrawn' if trial.user_attrs.get('withdrawn') else ''}" for trial in told]


def test_one_of_two_has_a_trial_and_its_result_is_read_by_both(claims: Open) -> None:
    ours, theirs = claims(), claims()
    assert ours.state(place()) == theirs.state(place()) == "free"
    assert ours.take(place())
    assert forget(theirs).state(place()) == "taken"
    assert str(ours._me) == theirs.holder(place())
    assert not theirs.take(place())
    assert ours.holds(place())
    assert not theirs.holds(place())
    ours.tell(replace(place().trial, value=0.75, auroc=0.9), place())
    assert not ours.holds(place())
    for one in (ours, theirs):
        assert forget(one).state(place()) == "done"
        assert one.result(place()) == replace(place().trial, value=0.75, auroc=0.9)
    assert not theirs.take(place())
    assert states(ours, place()).count("COMPLETE") == 1
    assert set(states(ours, place())) == {"COMPLETE", "FAIL withdrawn"}


def test_arms_and_numbers_are_claimed_on_their_own(claims: Open) -> None:
    ours, theirs = claims(), claims()
    assert ours.take(place(0))
    assert theirs.take(place(1))
    assert theirs.take(place(0, "mine/bn-0"))


def test_a_failure_is_told_and_can_be_tried_again(claims: Open) -> None:
    ours, theirs = claims(), claims()
    ours.take(place())
    ours.tell(replace(place().trial, failure="diverged: the loss is nan"), place())
    assert forget(theirs).state(place()) == "failed"
    assert theirs.result(place()) == replace(place().trial, failure="diverged: the loss is nan")
    assert theirs.take(place())
    theirs.tell(replace(place().trial, value=0.5, auroc=0.6), place())
    assert forget(ours).state(place()) == "done"
    assert ours.result(place()) == replace(place().trial, value=0.5, auroc=0.6)


def test_what_is_given_up_is_free_again(claims: Open) -> None:
    ours, theirs = claims(), claims()
    ours.take(place(0))
    ours.take(place(1))
    ours.give_up(place(0))
    assert forget(theirs).state(place(0)) == "free"
    ours.close()
    assert forget(theirs).state(place(1)) == "free"
    assert theirs.take(place(0))
    assert theirs.result(place(0)) is None


def test_a_silent_holder_is_replaced_and_what_it_says_later_is_not_heard(claims: Open) -> None:
    ours, theirs = claims(beat=1000), claims(lease=0.3)
    elsewhere(ours)
    assert ours.take(place())
    assert theirs.state(place()) == "taken"
    time.sleep(0.4)
    assert forget(theirs).state(place()) == "taken"  # it may be the looker itself that stood still
    assert silent(theirs, 0.3) == "free"
    assert theirs.take(place())
    theirs.tell(replace(place().trial, value=0.5, auroc=0.6), place())
    ours.tell(replace(place().trial, value=0.9, auroc=0.9), place())  # it was only paused
    assert forget(ours).result(place()) == replace(place().trial, value=0.5, auroc=0.6)


def test_a_holder_that_gives_signs_of_life_keeps_its_trial_and_learns_of_its_loss(claims: Open) -> None:
    ours, theirs = claims(beat=0.05), claims(lease=0.5)
    elsewhere(ours)
    ours.take(place())
    for _ in range(8):
        assert forget(theirs).state(place()) == "taken"
        time.sleep(0.1)
    (number,) = (held.id for held in ours._held.values())
    theirs._end(number, {"withdrawn": True}, None)
    deadline = time.monotonic() + 5
    while ours.holds(place()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not ours.holds(place())


def test_a_holder_of_this_machine_whose_process_is_gone_is_replaced_at_once(claims: Open) -> None:
    ours, theirs = claims(beat=1000), claims()
    ours._me = replace(ours._me, pid=2**22 + 1)  # above any number that a process can have here
    ours.take(place())
    assert theirs.state(place()) == "free"
    assert theirs.take(place())


@pytest.mark.parametrize("process", ["", "{", "[]", json.dumps({"pid": "x"})])
def test_a_claim_of_somebody_unknown_is_judged_by_its_silence(claims: Open, process: str) -> None:
    ours, theirs = claims(beat=1000), claims(lease=0.2)
    ours.take(place())
    (number,) = (held.id for held in ours._held.values())
    ours._storage.set_trial_user_attr(number, "process", process)
    assert theirs.state(place()) == "taken"
    assert silent(theirs, 0.2) == "free"


def test_many_at_once_and_every_trial_has_one_result(tmp_path: Path) -> None:
    where, won = str(tmp_path / "journal.log"), []

    def work() -> None:
        own = Claims(open_storage(where))
        for number in range(6):
            if own.take(place(number)):
                won.append(number)
                own.tell(replace(place(number).trial, value=0.5, auroc=0.5), place(number))
        own.close()

    at_once(work)
    assert sorted(won) == list(range(6))
    (study,) = optuna.get_all_study_summaries(storage=open_storage(where))
    trials = optuna.load_study(study_name=study.study_name, storage=open_storage(where)).trials
    assert sum(one.state.name == "COMPLETE" for one in trials) == 6


def test_settling_reads_what_is_known_elsewhere_and_tells_what_is_known_here(claims: Open, tmp_path: Path) -> None:
    ours, theirs, store = claims(), claims(), Store(tmp_path / "runs")
    theirs.take(place(0))
    theirs.tell(replace(place(0).trial, value=0.25, auroc=0.3), place(0))
    done(store, place(1).trial.key, value=0.5)
    store.fail(place(2).trial.key, "diverged", "the loss is nan")
    found = settle(ours, [place(0), place(1), place(2)], store)
    assert [(one.value, one.failure) for one in found] == [(0.25, ""), (0.5, ""), (0.0, "diverged: the loss is nan")]
    assert forget(theirs).result(place(1)) == found[1]
    assert theirs.state(place(2)) == "failed"
    with pytest.raises(RunFailure, match=r"trial 3 .* is not finished"):
        settle(ours, [place(3)], store)


def test_a_storage_that_goes_away_is_one_line(tmp_path: Path) -> None:
    ours = Claims(open_storage(f"sqlite:///{tmp_path}/trials.db"))
    ours.take(place())
    (tmp_path / "trials.db").write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match="--storage: mine/ln-0 cannot be read or written"):
        forget(ours).state(place())
    ours.close()
