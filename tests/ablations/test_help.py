"""Help texts: a line for every command, in the order in which a newcomer meets them, and a word for every option."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from ablations.cli import app
from tests.ablations.conftest import CommandLine, command_environment

GROUPS = {"": typer.main.get_command(app)}
GROUPS |= {name: GROUPS[""].commands[name] for name in ("data", "store")}  # type: ignore[attr-defined]


@pytest.mark.parametrize("group", GROUPS)
def test_a_command_is_told_in_one_line_that_is_whole(
    group: str, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli(*group.split(), "--help") == 0
    listed = cli.out[cli.out.index("Commands:") :].splitlines()[1:]
    commands = list(GROUPS[group].commands)  # type: ignore[attr-defined]
    assert [line.split()[0] for line in listed] == commands
    assert all(line.endswith((".", "?")) and not line.endswith("...") for line in listed)


def test_the_first_commands_are_those_that_a_newcomer_needs(cli: CommandLine) -> None:
    order = list(GROUPS[""].commands)  # type: ignore[attr-defined]
    assert order[:5] == ["list", "show", "fields", "plan", "run"]


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_says_what_it_is_for(group: str) -> None:
    silent = [
        (name, option.name) for name, command in GROUPS[group].commands.items()  # type: ignore[attr-defined]
        for option in command.params if option.param_type_name == "option" and not option.help
    ]  # fmt: skip
    assert not silent


# What they make is a report, a checkpoint or a picture, and that is what they tell of.
MAKERS = {"run", "pretrain", "teacher", "data sheet"}


def test_every_command_that_prints_facts_prints_them_for_programs() -> None:
    commands = {
        f"{group} {name}".strip(): {flag for option in command.params for flag in option.opts}
        for group, found in GROUPS.items()
        for name, command in found.commands.items() if name not in GROUPS  # type: ignore[attr-defined]
    }  # fmt: skip
    assert {name for name, flags in commands.items() if "--json" not in flags} == MAKERS


@pytest.mark.parametrize("words", ["--help", "list", "show norm", "fields --json", "plan norm --preset smoke --json"])
def test_nobody_waits_for_what_a_command_does_not_need(words: str, tmp_path: Path) -> None:
    heavy = ["torch", "scipy", "pandas", "timm", "optuna", "open_clip", "torchvision"]
    heavy += [] if words.startswith(("plan", "list")) else ["matplotlib"]  # whose fonts are part of runs' keys
    code = f"import sys; from ablations.cli import run_cli; code = run_cli({words.split()}); " + (
        f"print('loaded', code, [name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=command_environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["loaded 0 []"], done.stdout + done.stderr
