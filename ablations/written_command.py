"""The command that a report or a map says it is of: how it is written, and how it is read again."""

from __future__ import annotations

import os
import shlex

from core.config import RunConfig
from core.errors import UserError

_VARIABLE = "DOCABLATE_FONTS"  # of core.data.layouts.fonts, which takes matplotlib to import
_FONTS = f"{_VARIABLE}="
_START = ("python", "-m", "ablations")


def written(verb: str, words: str, baseline: RunConfig | None = None) -> str:
    """The whole command; with the choice of fonts where documents are drawn, as another gives runs other keys.

    Without the `baseline` nothing is known of documents, and the choice is told wherever there is one.
    """
    fonts = os.environ.get(_VARIABLE, "")
    drawn = baseline is None or "procedural" in (*baseline.data.source, *baseline.eval.source)
    before = f"{_FONTS}{shlex.quote(fonts)} " if fonts and drawn else ""
    return f"{before}{' '.join(_START)} {verb} {words}"


def read_words(command: str, verb: str, source: str, *, any_fonts: bool = False) -> list[str]:
    """The words after the verb of a command that `written` wrote.

    Args:
        any_fonts: it is not to be given again, so that its fonts do not matter.

    Raises:
        UserError: it is another command, or was given with other fonts than those of now; `source` is named.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"{source}: its command cannot be read ({error}): {command[:200]}") from None
    fonts = words.pop(0).removeprefix(_FONTS) if words[:1] and words[0].startswith(_FONTS) else ""
    if words[: len(_START) + 1] != [*_START, verb]:
        raise UserError(f"{source}: its command is not a `{' '.join(_START)} {verb}`: {command[:200]}")
    if fonts and not any_fonts and fonts != os.environ.get(_VARIABLE, ""):
        raise UserError(f"{source}: its documents are drawn with {_FONTS}{fonts}: set that, and try again")
    return words[len(_START) + 1 :]
