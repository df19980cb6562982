"""`list`: studies, findings, arms, presets, and what is done."""

from __future__ import annotations

import json

from tests.ablations.conftest import CommandLine


def test_list_names_everything(cli: CommandLine) -> None:
    assert cli("list") == 0
    for name in ("partial-fc", "norm", "pool", "preset smoke", "preset published", "done (quick)"):
        assert name in cli.out


def test_list_json(cli: CommandLine) -> None:
    assert cli("list", "--json") == 0
    facts = json.loads(cli.out)
    assert len(facts["studies"]) == 11
    assert [finding["finding"] for finding in facts["findings"]] == [str(number) for number in range(1, 14)]
    assert all(row["done"] == 0 for row in facts["studies"])


def test_unknown_preset(cli: CommandLine) -> None:
    assert "did you mean 'quick'" in cli.refuses("list", "--preset", "quik")
