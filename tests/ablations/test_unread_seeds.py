"""Seeds that are done and that a report does not read are told: a verdict may change with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from ablations import planner
from ablations.options import Chosen, choose
from ablations.planner import plan
from ablations.unread_seeds import unread_note
from core.integrity import Examined, examine
from core.store import Store
from tests.ablations.conftest import CLAIMING, TINY, TINY_SETS, CommandLine

_STUDY = CLAIMING.replace("  bn:", "  shown: {model.norm: none}\n  bn:")  # beside the two that the claim is of
_LOOKED = "preset: looked\nbase: smoke\nlooks: {2: 0.4, 4: 0.6}\n"
_BOTH = ("ln", "bn")


class Asked:
    """A study with looks at 2 and 4 seeds, and a store that has what it is told to have."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._done: set[str] = set()
        patch.setattr(planner, "examine", self._examine)
        Path("mine.yaml").write_text(_STUDY)
        Path("looked.yaml").write_text(_LOOKED)
        Store("runs").fail("0" * 16, "diverged", "of something else")

    def _examine(self, store: Store, key: str, *, digests: bool) -> Examined:
        return Examined("done") if key in self._done else examine(store, key, digests=digests)

    def choose(self, seeds: str | None = None, *, until_resolved: bool = False) -> Chosen:
        return choose(
            ["mine.yaml"], "looked.yaml", Path("runs"), seeds=seeds, sets=TINY_SETS, until_resolved=until_resolved
        )

    def done(self, seeds: Iterable[int], *arms: str) -> None:
        chosen = self.choose()
        wanted = plan(replace(chosen.request, seeds=tuple(seeds)), chosen.store)
        self._done |= {str(cell.key) for cell in wanted.cells if cell.study == "mine" and cell.arm in arms}

    def note(self, seeds: str | None = None, *, until_resolved: bool = False) -> str:
        found = unread_note(self.choose(seeds, until_resolved=until_resolved))
        assert len(found) < 2
        return "".join(found)


@pytest.fixture
def asked(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Asked:
    del cli  # for its folder
    return Asked(monkeypatch)


def test_nothing_is_told_where_all_is_read(asked: Asked) -> None:
    assert asked.note() == ""
    asked.done(range(2), *_BOTH)
    asked.done(range(4), "shown")  # on which no verdict rests
    assert asked.note() == ""
    asked.done(range(4), *_BOTH)
    assert asked.note("4") == asked.note(until_resolved=True) == ""


def test_a_whole_look_is_read_in_two_ways(asked: Asked) -> None:
    told = "are done and not read, and may change a verdict:"
    asked.done(range(4), "ln")
    # With other seeds the other arm's runs would be missing.
    assert asked.note() == f"2 more seeds of mine/ln {told} `--until-resolved` reads them"
    asked.done(range(4), "bn")
    assert asked.note() == f"2 more seeds of mine/ln, mine/bn {told} `--until-resolved` or `--seeds 4` reads them"


def test_what_is_not_there_of_every_arm_or_for_a_whole_look(asked: Asked) -> None:
    asked.done(range(3), *_BOTH)
    told = "1 more seed of mine/ln, mine/bn is done and not read, and may change a verdict: `--seeds 3` reads it"
    assert asked.note() == told
    asked.done(range(4), "bn")
    assert asked.note().startswith("up to 2 more seeds of mine/ln, mine/bn are done and not read")


def test_other_seeds_are_another_experiment(asked: Asked) -> None:
    asked.done(range(10, 14), *_BOTH)
    assert asked.note() == ""
    assert "2 more seeds" in asked.note("10,11")
    assert asked.note("10,12").endswith("`--seeds 10-13` reads them")


def test_a_report_tells_of_them(cli: CommandLine) -> None:
    Path("mine.yaml").write_text(CLAIMING)
    Path("looked.yaml").write_text(_LOOKED)
    words = ["mine.yaml", *(word if word != "smoke" else "looked.yaml" for word in TINY), "--out", "report"]
    assert cli("run", *words, "--no-control", "--seeds", "3") == 0
    assert "not read" not in cli.err
    assert cli("report", *words) == 0
    told = "1 more seed of mine/ln, mine/bn is done and not read, and may change a verdict: "
    assert f"note: {told}`--seeds 3` reads it" in cli.err
    assert f"- Note: {told}" in Path("report/index.md").read_text()
    assert cli("report", "--check", "--out", "report") == 0
