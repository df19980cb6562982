"""Where a comparison is written, and under which name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import UserError
from core.store import Store
from reports.comparison_page import write_comparison
from tests.core.stores import add_run
from tests.reports.test_comparison_told import judged

FOUND = judged("reproduced", "contradicted")


def test_a_comparison_takes_the_place_of_its_own_kind_alone(tmp_path: Path) -> None:
    page = write_comparison(FOUND, tmp_path, "c")
    assert write_comparison(FOUND, tmp_path, "again") == page
    page.write_text("my notes")
    with pytest.raises(UserError, match=r"--out: .*one-and-two\.md is there, and no such page: move it away"):
        write_comparison(FOUND, tmp_path, "c")
    assert page.read_text() == "my notes"


def test_a_store_is_no_place_for_a_comparison(tmp_path: Path) -> None:
    add_run(Store(tmp_path), 0)
    with pytest.raises(UserError, match="is a store of runs: choose another folder for the page"):
        write_comparison(FOUND, tmp_path, "c")
    assert not (tmp_path / "figures").exists()


@pytest.mark.parametrize(
    ("names", "page"),
    [
        (("a/Scans 2", "b/scans_3"), "scans-2-and-scans-3"),
        (("отчёт", "другой"), "отчёт-and-другой"),
        (("…", "/"), "report-and-report"),
        (("x" * 200, "日" * 80), f"{'x' * 90}-and-{'日' * 30}"),
    ],
)
def test_a_page_has_the_names_of_both_reports(names: tuple[str, str], page: str, tmp_path: Path) -> None:
    path = write_comparison(replace(FOUND, names=names), tmp_path / "out", "c")
    assert path.name == f"{page}.md"
    assert (tmp_path / "out" / "figures" / f"compared-{page}.png").is_file()
