"""`report`: of a store with nothing, and of one with something."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations import report_cli
from core.store import Store
from tests.ablations.conftest import TINY, CommandLine
from tests.ablations.filled_store import contents


def test_report_of_an_empty_store_says_not_run(cli: CommandLine) -> None:
    Path("runs").mkdir()
    assert cli("report", "neck", *TINY, "--out", "report") == 0
    assert "**not run**" in Path("report/index.md").read_text()
    assert "report: report/index.md" in cli.err


def test_the_one_file_report_can_be_left_out(cli: CommandLine) -> None:
    Path("runs").mkdir()
    assert cli("report", "neck", *TINY, "--out", "with") == 0
    assert cli("report", "neck", *TINY, "--out", "without", "--no-html") == 0
    with_html, without = (
        {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        for folder in (Path("with"), Path("without"))
    )
    assert with_html - without == {Path("report.html")}
    assert without < with_html
    assert cli("report", "--check", "--out", "without") == 0


@pytest.mark.parametrize("store", ["notes.txt", "/nowhere"])
def test_a_store_that_is_none_replaces_no_report(cli: CommandLine, store: str) -> None:
    Path("notes.txt").write_text("")
    Path("runs").mkdir()
    assert cli("report", "neck", *TINY, "--out", "report") == 0
    before = contents(Path("report"))
    told = cli.refuses("report", "neck", *TINY, "--store", store, "--out", "report")
    assert told.startswith(f"error: --store: '{store}' is no")
    assert contents(Path("report")) == before


def test_a_single_run_has_no_report(cli: CommandLine, tmp_path: Path) -> None:
    from core.config import RunConfig

    (tmp_path / "config.yaml").write_text(RunConfig().to_yaml())
    assert "run-info" in cli.refuses("report", tmp_path / "config.yaml")


def test_what_no_report_wrote_is_not_written_over_and_nothing_is_trained_for_it(cli: CommandLine) -> None:
    Path("home").mkdir()
    Path("home/index.md").write_text("mine")
    words = ["norm", "--preset", "smoke", "--seeds", "1", "--out", "home"]
    for verb in ("run", "report"):
        assert "home/index.md is there, and no report wrote it" in cli.refuses(verb, *words)
    assert Path("home/index.md").read_text() == "mine"
    assert not Store("runs").run_keys()


def test_ctrl_c_outside_of_training_says_what_became_of_things(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    Path("runs").mkdir()
    monkeypatch.setattr(report_cli, "write", stopped)
    assert cli("report", "norm", "--preset", "smoke") == 130
    assert "stopped; nothing is half written: give the same command again" in cli.err
