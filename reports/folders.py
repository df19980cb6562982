"""Where a report is written, and its files read again."""

from __future__ import annotations

import os
from pathlib import Path

from core import json_text
from core.errors import UserError
from core.store import Store

RECORD = "report.json"
TITLE = "Ablation report: preset"  # of every index, in both forms
_HEAD = 1000  # bytes of a file that hold it


def make_folders(*folders: Path) -> None:
    """Make the folders of a report, the outermost first; `UserError` where that cannot be done."""
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"the report cannot be written to '{folders[0]}' ({reason}): choose another folder") from None


def check_free(out: Path) -> None:
    """Refuse a folder in which a report would take the place of what no report wrote, or lie among runs.

    Raises:
        UserError: what is there, and what to do.
    """
    out = Path(out)
    _refuse_store(out, "report")
    if _is_record(out / RECORD) or _begins_as_ours(out / "index.md"):  # whose record is not written yet, or damaged
        return
    for name in (RECORD, "index.md", "report.html"):
        if os.path.lexists(path := out / name) and not _begins_as_ours(path):
            raise UserError(f"--out: {path} is there, and no report wrote it: move it away, or choose another folder")


def check_page(path: Path, mark: str) -> None:
    """As `check_free`, of a page by itself, whose own kind have `mark` in their beginning."""
    _refuse_store(path.parent, "page")
    if os.path.lexists(path) and not _begins_as_ours(path, mark):
        raise UserError(f"--out: {path} is there, and no such page: move it away, or choose another folder")


def _refuse_store(out: Path, what: str) -> None:
    if Store(out).run_keys():
        raise UserError(f"--out: '{out}' is a store of runs: choose another folder for the {what}")


def _is_record(path: Path) -> bool:
    """Of whatever version."""
    try:
        content = json_text.read(path)
    except (OSError, UserError):
        return False
    return isinstance(content, dict) and "store_digest" in content


def _begins_as_ours(path: Path, mark: str = TITLE) -> bool:
    try:
        with path.open("rb") as handle:
            return mark.encode() in handle.read(_HEAD)
    except OSError:
        return False


def check_file(path: Path) -> None:
    """`UserError` for what is there and no file: a report may come from elsewhere, and reading a pipe never ends."""
    if os.path.lexists(path) and not os.path.isfile(path):
        raise UserError(f"{path} is not a file: name the folder of a report")
