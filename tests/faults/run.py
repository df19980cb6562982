"""All faults at large, in one table: `make faults`, or `python -m tests.faults.run [--kills N] [--cases N] ...`.

Takes about an hour on two cores with the defaults; the test suite has a small part of each. The table is written as
markdown, and the command ends with 1 where a fault was not survived.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from core.result import environment
from core.store import write_atomic
from tests.faults import hostile, kills, store_damage
from tests.faults.rows import Row

ROOT = Path(__file__).resolve().parents[2]
# Faults that are injected for real by tests, one at a time: what they are, and where.
TESTED = {
    "kill -9 at a chosen place of a run: a step, a write, a rename, a judgement": ("core/test_kill.py",),
    "several commands on one store, holders that die, pause or disagree on the time": (
        "core/test_lease.py", "core/test_process.py", "ablations/test_many_processes.py", "ablations/test_gate.py",
    ),
    "no space, read-only, no handles, no memory, a hang, a loss that is not finite": (
        "ablations/test_faults.py", "ablations/test_gpu_memory.py",
    ),
    "Ctrl-C and termination": ("ablations/test_cmd_run_stopped.py",),
    "an archive of a store that is torn or tampered with, a store of an older or a newer version": (
        "ablations/test_cmd_store.py", "core/test_record.py", "core/test_integrity.py",
    ),
}  # fmt: skip
_DAMAGE = "numbers equal to the bit after `run`, or the file named; no traceback"


def damage_rows(tries: int, seed: int, folder: Path) -> list[Row]:
    """Every file of a small store, each damaged so many times; a row for every way."""
    home = folder / "home"
    store_damage.make_home(home)
    done: Counter[str] = Counter()
    survived: Counter[str] = Counter()
    for row in store_damage.damage_every_file(home, tries, seed):
        done[row.damage] += 1
        survived[row.damage] += not row.wrong
        for wrong in row.wrong:
            print(f"{row.file}, {row.damage}: {wrong}", file=sys.stderr)
    return [Row(f"a file of a store: {damage}", done[damage], survived[damage], _DAMAGE) for damage in done]


def tested_rows(folder: Path) -> list[Row]:
    """What tests inject one by one: as many tries as there are tests, parameters counted."""
    found = []
    for fault, files in TESTED.items():
        report = folder / "junit.xml"
        words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        tests = [str(ROOT / "tests" / name) for name in files]
        subprocess.run([sys.executable, *words, *tests], cwd=ROOT, check=False, stdout=sys.stderr)
        cases = [case for case in ElementTree.parse(report).iter("testcase") if case.find("skipped") is None]
        bad = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
        found.append(Row(fault, len(cases), len(cases) - bad, f"tests of {', '.join(files)}"))
    return found


def markdown(rows: list[Row], seconds: float, command: str) -> str:
    """The table, with what made it."""
    made = environment("cpu", 1)
    lines = [
        "# Faults tried and survived",
        "",
        f"`{command}`, {seconds / 60:.0f} minutes on {made['hardware']}, {os.cpu_count()} cores; {made['system']}, "
        f"Python {made['python']}, torch {made['torch']}, code {made['code']}.",
        "",
        "| fault | tries | survived | what survival means, or how it ended |",
        "|---|---:|---:|---|",
        *(f"| {row.fault} | {row.tries:,} | {row.survived:,} | {row.how} |" for row in rows),
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="of a sweep, at random moments")
    parser.add_argument("--damage", type=int, default=9, help="times that each file of a store is damaged")
    parser.add_argument("--cases", type=int, default=12_000, help="hostile inputs, over all readers")
    parser.add_argument("--guided", type=int, default=60, help="seconds of coverage-guided fuzzing of each parser")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("kills", "damage", "hostile", "tested"), help="one part")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "reference" / "faults.md")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    began, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="faults.") as temporary:
        folder = Path(temporary)
        os.environ["DOCABLATE_CACHE"] = str(folder / "cache")
        parts: dict[str, Callable[[], list[Row]]] = {
            "kills": lambda: kills.rows(options.kills, folder / "kills", options.seed),
            "damage": lambda: damage_rows(options.damage, options.seed, folder / "damage"),
            "hostile": lambda: hostile.rows(options.cases) + hostile.guided_rows(10**9, options.guided),
            "tested": lambda: tested_rows(folder),
        }
        for name, part in parts.items():
            if options.only in (None, name):
                rows += part()
    told = " ".join(["python -m tests.faults.run", *sys.argv[1:]])
    text = markdown(rows, time.monotonic() - began, told)
    print(text)
    write_atomic(options.out, text.encode())
    return int(any(row.survived < row.tries for row in rows))


if __name__ == "__main__":
    sys.exit(main())
