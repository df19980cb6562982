"""Where a report is written."""

from __future__ import annotations

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
