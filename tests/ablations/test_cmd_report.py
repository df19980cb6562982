"""`report`: of a store with nothing, and of one with something."""

from __future__ import annotations

from pathlib import Path

from tests.ablations.conftest import TINY, CommandLine


def test_report_of_an_empty_store_says_not_run(cli: CommandLine) -> None:
    assert cli("report", "neck", *TINY, "--out", "report") == 0
    assert "**not run**" in Path("report/index.md").read_text()
    assert "report: report/index.md" in cli.err


def test_a_single_run_has_no_report(cli: CommandLine, tmp_path: Path) -> None:
    from core.config import RunConfig

    (tmp_path / "config.yaml").write_text(RunConfig().to_yaml())
    assert "run-info" in cli.refuses("report", tmp_path / "config.yaml")
