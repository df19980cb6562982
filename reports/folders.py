"""Where a report is written, and its files read again."""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import UserError


def make_folders(*folders: Path) -> None:
    """Make the folders of a report, the outermost first; `UserError` where that cannot be done."""
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"the report cannot be written to '{folders[0]}' ({reason}): choose another folder") from None


def check_file(path: Path) -> None:
    """`UserError` for what is there and no file: a report may come from elsewhere, and reading a pipe never ends."""
    if os.path.lexists(path) and not os.path.isfile(path):
        raise UserError(f"{path} is not a file: name the folder of a report")
