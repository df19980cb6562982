from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from core.errors import UserError
from reports.claims import findings
from reports.headline import BEGIN, END, SHOWN, headline, main, written_into
from reports.provenance import read_record

ROOT = Path(__file__).parents[2]


def kept(written: Path, root: Path) -> Path:
    """A folder of reports, with that of the synthetic store as the first."""
    root.mkdir()
    (root / next(iter(SHOWN))).symlink_to(written)
    return root


def test_a_row_has_each_finding_and_the_verdict_of_each_report(written: Path, tmp_path: Path) -> None:
    rows = headline(kept(written, tmp_path / "reference")).splitlines()
    assert rows[0].count("](reports/reference/") == 1
    assert rows[0].endswith("/index.md), TPR@1e-4 |")
    shown = {row.split("|")[1].strip(): row.split("|")[-2].strip() for row in rows[2:]}
    assert list(shown) == [finding.label for finding in findings().values()]
    index = (written / "index.md").read_text()
    for label in ("2", "4", "9"):
        (row,) = [line for line in index.splitlines() if line.startswith(f"| {label} |")]
        assert shown[label] in row
        assert re.fullmatch(r"\*\*[a-z ]+\*\*", shown[label])
    assert shown["1"] == "–"  # no study of that report tests it


def test_no_report_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no report in it"):
        headline(tmp_path)


def test_a_report_without_its_table_is_named(tmp_path: Path) -> None:
    folder = tmp_path / next(iter(SHOWN))
    folder.mkdir()
    (folder / "index.md").write_text("# a report")
    with pytest.raises(UserError, match=r"index-findings\.csv"):
        headline(tmp_path)


def test_only_what_is_between_the_marks_is_written(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = kept(written, tmp_path / "reference")
    path = tmp_path / "README.md"
    path.write_text(f"# mine\n{BEGIN}\nold\n{END}\nmore\n")
    assert main([str(path)], root) == 0
    text = path.read_text()
    assert text.startswith(f"# mine\n{BEGIN}\n| # |")
    assert text.endswith(f"|\n{END}\nmore\n")
    assert "old" not in text
    path.write_text("# without marks\n")
    assert main([str(path)], root) == main([], root) == main([str(tmp_path / "none.md")], root) == 2
    assert path.read_text() == "# without marks\n"
    said = capsys.readouterr().err.splitlines()
    assert all(line.startswith("error: ") for line in said)
    assert str(path) in said[0]


def test_the_readme_says_what_the_kept_reports_say() -> None:
    text = (ROOT / "README.md").read_text()
    assert written_into(text, headline()) == text


def test_the_kept_calibration_is_of_the_kept_report() -> None:
    kept = ROOT / "reports" / "reference"
    runs = read_record(kept / "cpu-quick").store_digest[:12]
    assert f"the report reports/reference/cpu-quick (runs {runs})" in (kept / "calibration.md").read_text()


def test_marks_are_needed_once() -> None:
    wrong: list[Any] = ["", BEGIN, f"{END}", f"{BEGIN}{END}{BEGIN}{END}"]
    for text in wrong:
        with pytest.raises(UserError, match="needs one line"):
            written_into(text, "x")
