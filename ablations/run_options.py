"""The options of the `run` that a written report is of, read from its command."""

from __future__ import annotations

from typing import Any

import typer

from ablations import sweep_cli
from ablations.written_command import read_words
from core.errors import UserError


def run_options(command: str, source: str, *, lenient: bool = False) -> dict[str, Any]:
    """The arguments of `sweep_cli.run` by name, as its command line has them: those left out are at their defaults.

    Args:
        lenient: it is not to be given again: neither its fonts matter nor options of another version's `run`, which
            stand among the studies then.

    Raises:
        UserError: as `read_words`; or `run` does not take it here; `source` is named.
    """
    words = read_words(command, "run", source, any_fonts=lenient)
    single = typer.Typer(add_completion=False)
    single.command(add_help_option=False)(sweep_cli.run)
    try:
        parsed = typer.main.get_command(single).make_context("run", words, ignore_unknown_options=lenient)
        return dict(parsed.params)
    except Exception as error:
        # Usage errors of the option parser; its exception classes moved between typer versions.
        if (message := getattr(error, "format_message", None)) is None:
            raise
        raise UserError(f"{source}: its command is not one that `run` takes here ({message()})") from None
