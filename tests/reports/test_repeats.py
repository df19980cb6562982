"""Repeated runs against a report: which are chosen, what is equal, what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import UserError
from reports import provenance_check
from reports.provenance import CellRecord, Record
from reports.repeats import NAME, Repeats, add_repeats, best_comparison, compare, once_an_arm, read_repeats
from tests.reports.conftest import CODE, Written

NEW = "0123456789ab"


def cell(study: str, arm: str, seed: int, key: str | None = None, **changes: object) -> CellRecord:
    key = key or f"{study}-{arm}-{seed}"
    facts = {"state": "done", "scores": f"scores of {key}", "code": CODE, **changes}
    return CellRecord(study=study, arm=arm, seed=seed, key=key, **facts)  # type: ignore[arg-type]


def report_of(*cells: CellRecord) -> Record:
    return Record(preset="quick", command="python -m ablations run all", looks={}, code=CODE, studies={}, cells=cells)


def shared(seed: int) -> list[CellRecord]:
    """Two studies that share a baseline, and one arm of each."""
    base = f"baseline-{seed}"
    return [
        cell("norm", "ln", seed, base), cell("norm", "bn", seed),
        cell("neck", "flatten", seed, base), cell("neck", "gap", seed),
    ]  # fmt: skip


def test_one_run_of_every_arm_on_seeds_in_turn_and_a_shared_baseline_once() -> None:
    report = report_of(*(one for seed in range(3) for one in shared(seed)))
    chosen = once_an_arm(report)
    assert [one.key for one in chosen] == ["baseline-0", "norm-bn-2", "neck-gap-0"]
    assert compare(
        report, Repeats(code=NEW, hardware="", scores={str(one.key): str(one.scores) for one in chosen})
    ).holds


def test_fewer_runs_take_studies_in_turn() -> None:
    report = report_of(*(cell(study, arm, 0) for study in ("norm", "neck") for arm in ("a", "b")))
    assert [one.key for one in once_an_arm(report, 2)] == ["norm-a-0", "neck-a-0"]


def test_runs_that_are_not_done_or_tuned_are_not_repeated_and_tuned_arms_stay_open() -> None:
    done = cell("norm", "ln", 0)
    report = report_of(cell("norm", "bn", 0, state="failed", scores=None), done, cell("norm", "ln", 0, "x", tuned=True))
    assert once_an_arm(report) == [done]
    found = compare(report, Repeats(code=NEW, hardware="", scores={"norm-ln-0": str(done.scores)}))
    assert found.unrepeated == (("norm", "ln", True),)
    assert not found.holds


def test_other_bits_are_named() -> None:
    report = report_of(*shared(0))
    given = {str(one.key): str(one.scores) for one in shared(0)} | {"norm-bn-0": "others"}
    found = compare(report, Repeats(code=NEW, hardware="", scores=given))
    assert [one.key for one in found.differing] == ["norm-bn-0"]
    assert len(found.equal) == 2
    assert not found.holds


def test_nothing_repeated_is_nothing_shown() -> None:
    assert not compare(report_of(), Repeats(code=NEW, hardware="", scores={})).holds


def test_what_is_kept_grows_by_code_and_machine(tmp_path: Path) -> None:
    assert read_repeats(tmp_path) == ()
    for code, hardware, key in ((NEW, "a", "1"), (NEW, "b", "1"), (NEW, "a", "2"), (CODE, "a", "1")):
        add_repeats(tmp_path, Repeats(code=code, hardware=hardware, scores={key: "0"}))
    kept = {(one.code, one.hardware): sorted(one.scores) for one in read_repeats(tmp_path)}
    assert kept == {(NEW, "a"): ["1", "2"], (NEW, "b"): ["1"], (CODE, "a"): ["1"]}


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: data.replace(b'"1"', b'"2"'), lambda data: b""]
)
def test_a_damaged_file_is_named(tmp_path: Path, damage: object) -> None:
    add_repeats(tmp_path, Repeats(code=NEW, hardware="a", scores={"1": "0"}))
    path = tmp_path / NAME
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(UserError, match=r"repeats\.json is damaged"):
        read_repeats(tmp_path)


def repeated(report: Written, **changes: str) -> None:
    """Every run of the report, repeated by the new code; `changes` are of digests, by key."""
    cells = provenance_check.read_record(report.out).cells
    scores = {str(one.key): str(one.scores) for one in cells if one.state == "done"}
    add_repeats(report.out, Repeats(code=NEW, hardware="a machine", scores={**scores, **changes}))


def test_runs_of_other_code_hold_once_every_arm_was_repeated(report: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance_check, "code_digest", lambda: NEW)
    assert {one.kind for one in report.check().problems} == {"stale: other code"}
    repeated(report)
    found = report.check()
    assert found.problems == ()
    assert found.notes == (
        "runs were made by other code; 13 of 13 runs that this code repeated are equal to the bit to the report's, "
        "one of every arm at least (a machine)",
    )
    monkeypatch.setattr(provenance_check, "code_digest", lambda: "ba9876543210")  # a third code: nothing is known of it
    assert {one.kind for one in report.check().problems} == {"stale: other code"}


def test_one_run_that_differs_and_nothing_holds(report: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance_check, "code_digest", lambda: NEW)
    repeated(report, **{str(report.world.cell("norm", "bn", 0).key): "0" * 64})
    found = report.check()
    assert len(found.problems) == 13
    assert found.notes == ("12 of 13 runs that this code repeated are equal to the bit to the report's (a machine)",)


HERE, THERE = "another machine", "the report's machine"
REPORT = report_of(*shared(0))


def repeats_of(code: str, hardware: str, **scores: str) -> Repeats:
    """Of all runs of `REPORT`; on `HERE` each has other bits than the report's. `scores` are others yet, by key."""
    given = {str(one.key): f"{hardware if hardware == HERE else ''}{one.scores}" for one in REPORT.cells}
    changed = {key.replace("_", "-"): bits for key, bits in scores.items()}
    return Repeats(code=code, hardware=hardware, scores={**given, **changed})


LATER = [repeats_of("later", THERE), repeats_of("later", HERE)]


@pytest.mark.parametrize(
    ("known", "holds"),
    [
        ([repeats_of(CODE, HERE)], True),  # the report's own code, repeated here
        (LATER, True),  # code that was equal to the report there
        ([repeats_of("latest", HERE), repeats_of("later", HERE), repeats_of(CODE, HERE)], True),
        ([], False),
        # Equal here, but other bits on the machine on which the report's are had.
        ([*LATER, repeats_of(NEW, THERE, norm_bn_0="others")], False),
        ([*LATER, repeats_of(NEW, "a third", norm_bn_0="others")], True),  # there nothing gave the report's bits
        ([repeats_of("later", HERE)], False),  # equal to code of which nothing is known
        ([repeats_of(CODE, "a third")], False),  # equal bits are of one machine
        ([repeats_of("later", THERE, norm_bn_0="others"), repeats_of("later", HERE)], False),
        ([repeats_of(CODE, HERE, norm_bn_0="others")], False),
        ([Repeats(code=CODE, hardware=HERE, scores={"norm-bn-0": f"{HERE}scores of norm-bn-0"})], False),
    ],
)  # fmt: skip
def test_on_another_machine_code_is_held_to_code_that_gave_the_reports_numbers(
    known: list[Repeats], holds: bool
) -> None:
    new = repeats_of(NEW, HERE)
    assert not compare(REPORT, new).holds
    for several in ([new, *known], [*known, new]):
        found = best_comparison(REPORT, new, several)
        assert found.holds == holds
        assert not holds or found.base in {one.code for one in known}


def test_no_code_stands_for_a_report_of_several() -> None:
    mixed = report_of(cell("norm", "ln", 0), cell("norm", "bn", 0, code="another"))
    bits = {str(one.key): "other bits" for one in mixed.cells}
    known = [Repeats(code=code, hardware=HERE, scores=bits) for code in (NEW, CODE)]
    assert not best_comparison(mixed, known[0], known).holds


def test_the_check_says_which_code_it_was_held_to(report: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance_check, "code_digest", lambda: NEW)
    cells = [one for one in provenance_check.read_record(report.out).cells if one.state == "done"]
    for code in (CODE, NEW):
        bits = {str(one.key): f"{one.scores} here" for one in cells}
        add_repeats(report.out, Repeats(code=code, hardware=HERE, scores=bits))
    found = report.check()
    assert found.problems == ()
    assert found.notes == (
        f"runs were made by other code; 13 of 13 runs that this code repeated are equal to the bit to those of code "
        f"{CODE}, which gave the report's numbers, one of every arm at least (another machine)",
    )
