"""`repeats.json`: runs of a written report that were trained again by later code, to tell whether its numbers hold.

A change of code that changes no number is common, and training a report's runs anew takes hours. On the same machine
equal numbers are equal bits, so one run of every arm, repeated, shows whether the new code gives what the old gave. A
report outlives its machine, too: on any other, later code is held to what code that is known to give the report's
numbers gives there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from core import record
from core.store import write_atomic
from reports.control import CONTROL
from reports.folders import check_file
from reports.provenance import CellRecord, Record

NAME = "repeats.json"
_SCHEMA = 1
_REMEDY = "remove it, and `repeat` the runs again"
Place = tuple[str, str, bool]  # study, arm, tuned


class Repeats(BaseModel):
    """What one code gave on one machine: SHA-256 of scores.npz, in hex digits, by the runs' keys.

    `hardware` is the processor, with the threads of a run where they are not one: sums come out otherwise with more.
    """

    model_config = ConfigDict(frozen=True)
    code: str
    hardware: str
    scores: dict[str, str]


@dataclass(frozen=True)
class Comparison:
    """Repeated runs that came out equal to the bit and those that did not, and arms of which none was repeated.

    `base` is the code, repeated on the same machine, that they were held to; None for the report's own runs.
    """

    equal: tuple[CellRecord, ...]
    differing: tuple[CellRecord, ...]
    unrepeated: tuple[Place, ...]
    base: str | None = None

    @property
    def holds(self) -> bool:
        """Whether every arm was repeated and nothing differed."""
        return bool(self.equal) and not self.differing and not self.unrepeated


def read_repeats(out: Path) -> tuple[Repeats, ...]:
    """All repeats of the report under `out`, the oldest first; none where there is no file.

    Raises:
        UserError: the file is damaged, or of a later version.
    """
    path = Path(out) / NAME
    check_file(path)
    try:
        facts = record.read(path, _SCHEMA, _REMEDY)
        return tuple(Repeats.model_validate(entry) for entry in facts["repeats"])
    except FileNotFoundError:
        return ()
    except (ValidationError, KeyError, TypeError):
        raise record.Damaged(path, "it is not a list of repeats", _REMEDY) from None


def add_repeats(out: Path, new: Repeats) -> None:
    """Write `new` beside the report, joined with what the same code gave on the same machine before."""
    kept, joined = [], new
    for known in read_repeats(out):
        if (known.code, known.hardware) == (new.code, new.hardware):
            joined = new.model_copy(update={"scores": {**known.scores, **new.scores}})
        else:
            kept.append(known)
    facts = {"repeats": [entry.model_dump() for entry in (*kept, joined)]}
    write_atomic(Path(out) / NAME, record.seal(facts, _SCHEMA))


def compare(report: Record, repeats: Repeats, base: Repeats | None = None) -> Comparison:
    """Hold repeated runs to those that the report was written from, or to `base`, of the same machine."""
    places: dict[Place, bool] = {}
    equal: dict[str, CellRecord] = {}
    differing: dict[str, CellRecord] = {}
    for cell in _done(report):
        place = (cell.study, cell.arm, cell.tuned)
        places.setdefault(place, False)
        got, key = repeats.scores.get(str(cell.key)), str(cell.key)
        due = cell.scores if base is None else base.scores.get(key)
        if got is not None and due is not None:
            places[place] = True
            (equal if got == due else differing).setdefault(key, cell)
    missing = tuple(place for place, repeated in places.items() if not repeated)
    return Comparison(tuple(equal.values()), tuple(differing.values()), missing, base.code if base else None)


def best_comparison(report: Record, repeats: Repeats, known: Sequence[Repeats]) -> Comparison:
    """How repeats of one code on one machine compare: with the report's own runs, else with code that stands for them.

    Where neither holds, the one that is equal in more runs.

    Args:
        known: all repeats of the report, whose codes may stand for the report's own.
    """
    found, refuted = compare(report, repeats), _refuted(report, known)
    if not found.holds and repeats.code not in refuted:
        trusted = _trusted(report, known, refuted)
        others = [
            compare(report, repeats, base) for base in known
            if base.hardware == repeats.hardware and base.code != repeats.code and base.code in trusted
        ]  # fmt: skip
        found = max([found, *others], key=lambda one: (one.holds, len(one.equal)))
    return found


def _trusted(report: Record, known: Sequence[Repeats], refuted: set[str]) -> set[str]:
    """Codes that give the report's numbers: its own, and those that were equal, on some machine, to one of these."""
    own = {cell.code for cell in _done(report)}
    trusted = {code for code in own if code} if len(own) == 1 else set()  # of several, none stands for all
    trusted |= {one.code for one in known if compare(report, one).holds}
    trusted -= refuted
    while joined := {
        one.code for one in known for base in known
        if one.code not in trusted | refuted and base.code in trusted and base.hardware == one.hardware
        and compare(report, one, base).holds
    }:  # fmt: skip
        trusted |= joined
    return trusted


def _refuted(report: Record, known: Sequence[Repeats]) -> set[str]:
    """Codes that gave other numbers than the report's on a machine on which some code gave just these."""
    its_own = {one.hardware for one in known if compare(report, one).holds}
    return {one.code for one in known if one.hardware in its_own and compare(report, one).differing}


def once_an_arm(report: Record, most: int | None = None) -> list[CellRecord]:
    """A done run of every arm, on the report's seeds in turn; a run that several arms share stands for all of them.

    Args:
        most: no more runs than that: then studies get theirs in turn.
    """
    arms: dict[Place, list[CellRecord]] = {}
    for cell in _done(report):
        arms.setdefault((cell.study, cell.arm, cell.tuned), []).append(cell)
    chosen: dict[str, CellRecord] = {}
    for number, place in enumerate(_in_turn(arms)):
        cells = sorted(arms[place], key=lambda cell: cell.seed)
        if place[2] or any(str(cell.key) in chosen for cell in cells):  # tuned values are not in the report's record
            continue
        cell = cells[number % len(cells)]
        chosen[str(cell.key)] = cell
    return list(chosen.values())[:most]


def _done(report: Record) -> Iterator[CellRecord]:
    """The cells of arms; those of the control are the baseline again."""
    return (cell for cell in report.cells if cell.state == "done" and cell.key is not None and cell.study != CONTROL)


def _in_turn(places: Iterable[Place]) -> list[Place]:
    """The first arm of every study, then the second of each, ..."""
    turn: dict[str, int] = {}
    order: list[tuple[int, Place]] = []
    for place in places:
        turn[place[0]] = turn.get(place[0], -1) + 1
        order.append((turn[place[0]], place))
    return [place for _, place in sorted(order, key=lambda entry: entry[0])]
