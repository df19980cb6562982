"""The package as pip installs it: everything that the code reads is in the wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("ablations", "core", "reports")
LICENCES = ("LICENSE", "NOTICE")
NOT_READ = ("README.md",)  # by the code
NOT_PACKAGES = ("reference", "generated", "maps")  # folders of reports that were written


def test_the_wheel_has_every_file_of_the_packages(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", *(NOT_PACKAGES if name == "reports" else ()))
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", *LICENCES):
        shutil.copy(ROOT / name, source)
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(tmp_path), str(source)]
    made = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    with zipfile.ZipFile(next(tmp_path.glob("docablate-*.whl"))) as wheel:
        names = wheel.namelist()
    packed = {name for name in names if name.startswith(PACKAGES)}
    there = {
        path.relative_to(source).as_posix()
        for name in PACKAGES
        for path in (source / name).rglob("*")
        if path.is_file() and path.name not in NOT_READ
    }
    assert there - packed == set()
    assert {name for name in LICENCES if any(path.endswith(f"licenses/{name}") for path in names)} == set(LICENCES)
