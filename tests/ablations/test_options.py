"""Options that come from a command line or a file of others reach no further than they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.budget import parse_duration
from ablations.options import choose, parse_seeds, parse_sets
from core.config import RunConfig
from core.errors import UserError


@pytest.mark.parametrize("text", ["9" * 5000, "1," + "9" * 5000, "", ",", "-1", "1e3", "x" * 5000])
def test_seeds_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="--seeds"):
        parse_seeds(text, 3)


@pytest.mark.parametrize("text", ["9" * 5000, "", "1", "-1h", "1h1h", "nan", "x" * 5000])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="--budget"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("3e-4", "3e-4"), ("bn", "bn"), ("a: b: c", "a: b: c"), ("[", "["), ("!!python/name:os.system", None), ("24", 24)],
)
def test_values_are_plain_data_or_words(text: str, value: object) -> None:
    assert parse_sets([f"model.norm={text}"]) == {"model.norm": text if value is None else value}


@pytest.mark.parametrize("text", [".nan", ".inf", "9" * 50, "x" * 300_000, "1" + ":0" * 60])
def test_values_beyond_the_limits_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^--set optim\.lr"):
        parse_sets([f"optim.lr={text}"])


def test_a_configuration_from_elsewhere_does_not_say_where_the_cache_is(tmp_path: Path) -> None:
    config = RunConfig().with_overrides({"runtime.cache_dir": str(tmp_path / "elsewhere"), "seed": 3})
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    chosen = choose([str(tmp_path / "config.yaml")], "quick", tmp_path / "store").request.config
    assert chosen is not None
    assert chosen.seed == 3
    assert chosen.runtime.cache_dir is None
    assert not (tmp_path / "elsewhere").exists()
