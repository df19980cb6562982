"""The part of the table of faults that is about hostile input: what was tried on every reader, and how it ended."""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path

from tests.faults import fuzz_parsers
from tests.faults.attack import attack
from tests.faults.rows import Row
from tests.faults.targets import TARGETS

MEMORY_MB = 3000  # that this process may have had at most, PyTorch included


def rows(cases: int) -> list[Row]:
    """Try `cases` inputs in all, shared out over the readers: at least one for each of them.

    Survived is an input that was taken, or refused in one line, without more time or memory than an input may take,
    and with nothing run, fetched, or written elsewhere.
    """
    each = -(-cases // len(TARGETS))
    with tempfile.TemporaryDirectory(prefix="hostile.") as folder:
        return [_row(name, each, Path(folder) / "room") for name in TARGETS]


def _row(name: str, cases: int, room: Path) -> Row:
    try:
        tried, refused = attack(name, cases, room)
    except Exception as error:  # whatever a reader lets through is what is looked for
        first = str(error).splitlines()[0] if str(error) else ""
        return Row(f"hostile {name}", cases, 0, f"NOT survived: {type(error).__name__}: {first}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if peak > MEMORY_MB:
        return Row(f"hostile {name}", tried, 0, f"NOT survived: {peak:,.0f} MB of memory")
    return Row(f"hostile {name}", tried, tried, f"{refused:,} refused in a line, {tried - refused:,} read")


def guided_rows(runs: int, seconds: int) -> list[Row]:
    """The same with inputs that the coverage of the code leads to; one row that says so where atheris is missing."""
    if not fuzz_parsers.available():
        return [Row("coverage-guided fuzzing", 0, 0, "not tried: atheris is not installed (`pip install atheris`)")]
    found = []
    with tempfile.TemporaryDirectory(prefix="hostile.") as folder:
        for target in fuzz_parsers.GUIDES:
            tried, find = fuzz_parsers.fuzz(target, runs, seconds, Path(folder))
            how = f"NOT survived: {find.strip().splitlines()[-1]}" if find else "nothing found"
            found.append(Row(f"coverage-guided {target}", tried, 0 if find else tried, how))
    return found
