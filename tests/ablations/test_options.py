"""Options that come from a command line or a file of others reach no further than they say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import typer

from ablations.budget import parse_duration
from ablations.cli import app
from ablations.options import DEFAULT_OUT, choose
from core.config import RunConfig
from core.errors import UserError
from tests.ablations.conftest import CommandLine


@pytest.mark.parametrize("text", ["9" * 5000, "", "1", "-1h", "1h1h", "nan", "x" * 5000])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="--budget"):
        parse_duration(text)


def test_a_configuration_from_elsewhere_does_not_say_where_the_cache_is(tmp_path: Path) -> None:
    config = RunConfig().with_overrides({"runtime.cache_dir": str(tmp_path / "elsewhere"), "seed": 3})
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    chosen = choose([str(tmp_path / "config.yaml")], None, tmp_path / "store").request.config
    assert chosen is not None
    assert chosen.seed == 3
    assert chosen.runtime.cache_dir is None
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(("option", "value"), [("--seeds", "7,8"), ("--preset", "standard"), ("--preset", "quick")])
def test_a_single_run_has_its_own_seed_and_settings(cli: CommandLine, option: str, value: str) -> None:
    Path("config.yaml").write_text(RunConfig().to_yaml())
    for verb in ("run", "plan"):
        told = cli.refuses(verb, "config.yaml", option, value, "--store", "nowhere")
        assert told == f"error: {option} is for studies, not for a single run"
    assert choose(["config.yaml"], None, Path("runs")).command == "config.yaml"
    assert not Path("nowhere").exists()


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("two_gpus")
def test_the_words_for_going_on_name_the_device_and_what_is_refused(tmp_path: Path) -> None:
    chosen = choose(["norm"], "smoke", Path("runs"), device="cuda:1", strict=True)
    assert chosen.again == chosen.command == "norm --preset smoke --device cuda:1 --strict"
    assert choose(["norm"], "smoke", tmp_path).command == "norm --preset smoke"


def test_the_words_for_going_on_have_what_is_not_as_by_default() -> None:
    chosen = choose(["norm"], "smoke", Path("some runs"))
    told = chosen.going_on(
        "run", ("--out", Path("here"), Path(DEFAULT_OUT)), ("--executor", "local", "local"), ("--jobs", 2, None),
        ("--fail-fast", True, False), ("--retry-failed", False, False),
    )  # fmt: skip
    assert told == "python -m ablations run norm --preset smoke --store 'some runs' --out here --jobs 2 --fail-fast"


@pytest.mark.usefixtures("two_gpus")
def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"--device cuda:2: there are 2 CUDA devices here"):
        choose(["norm"], "smoke", Path("runs"), device="cuda:2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(UserError, match=r"3 ranks .* of which it has 2: lower --nproc"):
        choose(["norm"], "smoke", Path("runs"), device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="no CUDA device"):
        choose(["norm"], "smoke", Path("runs"), device="cuda")
    with pytest.raises(UserError, match="--device foo: expected cpu, cuda or cuda:N"):
        choose(["norm"], "smoke", Path("runs"), device="foo")


@pytest.mark.usefixtures("two_gpus")
def test_on_a_cluster_gpus_are_rays_to_give_and_the_driver_needs_one_of_its_own(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["run", "norm", "--executor", "ray", "--device"]
    assert cli.refuses(*words, "cuda:1").endswith("--device cuda:1: Ray gives each run its GPU: use --device cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    told = cli.refuses(*words, "cuda")
    assert "no CUDA device is available here; start it where there is one, as teacher features are made there" in told


_CHOOSES = {  # an option that says which runs are meant, with a value where it takes one
    "--preset": "smoke", "--seeds": "3", "--data": "x", "--eval": "x", "--set": "optim.lr=1", "--device": "cuda",
    "--strict": None, "--no-control": None, "--deciding": None, "--tuned": None, "--until-resolved": None,
    "--no-html": None, "--retry-failed": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "used"),
    [
        (["report", "--check"], {"--store", "--out", "--check", "--json"}),
        (["store", "export", "x.tgz"], {"--store", "--key", "--failed", "--json"}),
        (["calibrate", "all", "--from", "x"], {"--reports", "--coverage", "--out", "--from", "--json"}),
        (["plan", "--gpus", "2"], {"--preset", "--set", "--device", "--store", "--json", "--classes", "--gpus",
                                   "--link", "--price"}),
    ],
)  # fmt: skip
def test_an_option_is_used_or_refused(cli: CommandLine, words: list[str], used: set[str]) -> None:
    command = typer.main.get_command(app)
    for name in words[: 1 + (words[0] == "store")]:
        command = command.commands[name]  # type: ignore[attr-defined]
    given = [param for param in command.params if param.param_type_name == "option"]
    names = {(param.secondary_opts or param.opts)[-1] for param in given} - {"--help"} - used
    assert names
    Path("runs").mkdir()
    for name in sorted(names):
        value = {**_CHOOSES, "--store": "x", "--jobs": "2"}[name]
        assert f"leave out {name}" in cli.refuses(*words, name, *([value] if value else [])), name
