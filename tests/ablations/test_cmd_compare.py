"""`compare`: two reports by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ablations.conftest import CLAIMING, TINY, CommandLine


def test_two_reports_on_other_seeds(cli: CommandLine) -> None:
    Path("mine.yaml").write_text(CLAIMING)
    assert cli("run", "mine.yaml", *TINY, "--seeds", "0,1,2,3", "--no-report") == 0, cli.err
    for seeds, out in (("0,1", "report"), ("2,3", "again")):
        assert cli("report", "mine.yaml", *TINY, "--seeds", seeds, "--out", out, "--no-html") == 0, cli.err
    assert cli("compare", "report", "again", "--out", "compared") == 0, cli.err
    assert "LayerNorm wins" in cli.out
    assert "No verdict was reached in both reports." in cli.out
    assert "Inconclusive in both, which is no agreement: finding lower." in cli.out
    assert "Finding lower is inconclusive in both reports: " in cli.out
    assert "No contrast can be compared; the table of estimates says why." in cli.out
    assert " ".join(cli.out.split()).count("a gate forbids") == 2  # the contrast and the control: all is at the floor
    page = Path("compared/report-and-again.md").read_text()
    assert "`python -m ablations compare report again --out compared`" in page
    assert "| lower | LayerNorm wins | **inconclusive** | **inconclusive** | – |" in page
    assert "not told: a gate forbids to judge it in the first report" in page
    assert Path("compared/figures/compared-report-and-again.png").read_bytes().startswith(b"\x89PNG")
    assert cli("compare", "report", "again", "--json") == 0, cli.err
    facts = json.loads(cli.out, parse_constant=pytest.fail)
    assert facts["reports"] == ["report", "again"]
    assert facts["page"] is None
    (finding,) = facts["findings"]
    assert (finding["first"], finding["second"], finding["moved"]) == ("inconclusive", "inconclusive", None)
    estimate, control = facts["estimates"]
    assert (estimate["arms"], estimate["reading"], estimate["difference"]["low"]) == (["ln", "bn"], "not told", None)
    assert (estimate["first"]["seeds"], estimate["second"]["seeds"]) == ([0, 1], [2, 3])
    assert [one["first"]["estimate"] for one in (estimate, control)] == _written("report", "estimate")
    assert control["study"] == "control"
    assert [one["kind"] for one in (estimate, control)] == _written("report", "kind")
    assert [one["metric"] for one in (estimate, control)] == _written("report", "declared")
    assert [one["first"]["missing"] for one in (estimate, control)] == ["", ""]
    assert "No verdict was reached in both reports." in facts["told"]


def _written(report: str, field: str) -> list[object]:
    """A field of the estimates in a report's verdicts.json: of the one contrast and of the control."""
    summary = json.loads(Path(report, "verdicts.json").read_text())
    return [one[field] for one in (*summary["findings"][0]["estimates"], summary["control"])]


def test_a_folder_without_a_report_is_one_line(cli: CommandLine, tmp_path: Path) -> None:
    assert "verdicts.json is not there" in cli.refuses("compare", "here", "there")
