"""Coverage-guided fuzzing of the readers, with atheris: `python -m tests.faults.fuzz_parsers "study files"`.

atheris (Google's binding of libFuzzer to Python) is no dependency of the project: `pip install atheris` first. Only
this project's code and the pure Python parsers under it are instrumented; what is found is written to the folder named
by --findings, and belongs into a regression test.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

# Modules whose branches guide the fuzzer, by target.
GUIDES = {
    "study files": ("yaml", "core", "ablations", "reports"), "values of --set": ("yaml", "core", "ablations"),
    "config.yaml of runs": ("yaml", "core", "ablations"), "presets": ("yaml", "core", "ablations"),
    "images": ("PIL", "core"), "zip archives": ("zipfile", "core"), "tar archives": ("tarfile", "core"),
    "pth weights": ("core", "torch._weights_only_unpickler"), "JSON of stores and reports": ("core", "reports"),
}  # fmt: skip


def available() -> bool:
    """Whether atheris is installed."""
    try:
        import atheris
    except ImportError:
        return False
    return bool(atheris)


def fuzz(target: str, runs: int, seconds: int, findings: Path) -> tuple[int, str]:
    """Fuzz one target in a process of its own, as libFuzzer ends its process.

    Returns:
        How many inputs were read, and the last lines of a find, or nothing.
    """
    findings.mkdir(parents=True, exist_ok=True)
    words = [target, "--inside", "--runs", str(runs), "--seconds", str(seconds), "--findings", str(findings)]
    command = [sys.executable, "-W", "ignore", "-m", "tests.faults.fuzz_parsers", *words]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    said = done.stderr + done.stdout
    # "stat::number_of_executed_units: 1234", from -print_final_stats
    numbers = [int(line.rsplit(" ", 1)[1]) for line in said.splitlines() if "number_of_executed_units" in line]
    return (numbers[-1] if numbers else 0), "" if done.returncode == 0 else said[-3000:]


def _inside(target: str, runs: int, seconds: int, findings: Path) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=list(GUIDES.get(target, ("core",)))):
        from tests.faults.seeds import seeds_of, tokens_of
        from tests.faults.targets import TARGETS
    warnings.simplefilter("ignore")
    work = Path(tempfile.mkdtemp(prefix="fuzz."))
    corpus = work / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds_of(target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = work / "words"
    words.write_text("".join(f'"{_quoted(token)}"\n' for token in tokens_of(target) if len(token) < 60))

    def one(data: bytes) -> None:
        TARGETS[target].survive(data, work / "room")

    limits = [f"-runs={runs}", f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=3000", "-max_len=20000"]
    places = [f"-dict={words}", f"-artifact_prefix={findings}/", str(corpus)]
    atheris.Setup([sys.argv[0], *limits, "-print_final_stats=1", *places], one)
    atheris.Fuzz()


def _quoted(token: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in token)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"default: {', '.join(GUIDES)}")
    parser.add_argument("--runs", type=int, default=20_000, help="inputs of a target")
    parser.add_argument("--seconds", type=int, default=120, help="time of a target")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not available():
        print(
            "fuzz_parsers: atheris is not installed: `pip install atheris` (it has wheels for Linux)", file=sys.stderr
        )
        return 2
    if given.inside:
        _inside(given.targets[0], given.runs, given.seconds, given.findings)
    found = 0
    for target in given.targets or GUIDES:
        started = time.perf_counter()
        read, find = fuzz(target, given.runs, given.seconds, given.findings)
        found += bool(find)
        print(f"{target}: {read:,} inputs in {time.perf_counter() - started:.0f} s, {'a find' if find else 'nothing'}")
        if find:
            print(find)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
