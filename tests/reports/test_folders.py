"""A report takes no place but its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.errors import UserError
from core.store import Store
from reports.folders import check_free, check_page
from tests.core.stores import add_run


@pytest.mark.parametrize("name", ["index.md", "report.html", "report.json"])
def test_what_no_report_wrote_is_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text('{"mine": 1}')
    with pytest.raises(UserError, match=rf"--out: .*{name} .*move it away, or choose another folder"):
        check_free(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=name):
        check_free(tmp_path)


def test_a_report_is_written_again_whole_or_not(written: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(written, tmp_path / "report"))
    check_free(out)
    record = out / "report.json"
    content = record.read_bytes()
    record.unlink()  # it was stopped before its last file
    check_free(out)
    record.write_bytes(content[:-20])
    check_free(out)
    (out / "index.md").unlink()
    with pytest.raises(UserError, match="no report wrote it"):
        check_free(out)
    record.write_text('{"version": 1, "store_digest": "of an earlier version"}')
    check_free(out)


def test_a_store_is_no_place_for_a_report(tmp_path: Path) -> None:
    add_run(Store(tmp_path), 0)
    with pytest.raises(UserError, match="is a store of runs"):
        check_free(tmp_path)
    check_free(tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


def test_a_page_takes_the_place_of_its_own_kind_alone(tmp_path: Path) -> None:
    page = tmp_path / "calibration.md"
    check_page(page, "# Calibration")
    page.write_text("# Calibration of the verdicts\n")
    check_page(page, "# Calibration")
    page.write_text("my notes")
    with pytest.raises(UserError, match=r"--out: .*calibration\.md is there, and no such page: move it away"):
        check_page(page, "# Calibration")
    page.unlink()
    page.mkdir()
    with pytest.raises(UserError, match="no such page"):
        check_page(page, "# Calibration")
    page.rmdir()
    add_run(Store(tmp_path), 0)
    with pytest.raises(UserError, match="is a store of runs"):
        check_page(page, "# Calibration")
