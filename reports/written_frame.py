"""The tidy rows of a report that was written before, as a frame: for what needs a report's numbers, and no runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from core.errors import UserError
from core.store import file_digest
from reports.cells import COLUMNS, IN_MEMORY, OVERFLOWED, SKIPPED
from reports.claims import Study
from reports.provenance import Record
from reports.summary import NAME as VERDICTS

_TEXT = ("study", "arm", "key", "state", "reason", "device", "hardware", "precision")
_LATER = (OVERFLOWED, SKIPPED)  # that reports of earlier versions do not have
_MIXED = ("tuned", "precision_took_effect")  # true, false or nothing
_REMEDY = "write the report again"


def read_frame(out: Path, record: Record, studies: Sequence[Study]) -> pd.DataFrame:
    """The rows of `studies` that the report under `out` shows, but those with tuned values and what no table has.

    Args:
        record: of `reports.provenance.read_record`.

    Raises:
        UserError: the report does not have a study, or had another declaration of it; or one of the files that are
            read, verdicts.json among them, is not as it was written.
    """
    out = Path(out)
    for study in studies:
        if study.study not in record.studies:
            told = ", ".join(f"'{name}'" for name in record.studies)
            raise UserError(f"{out} has no study '{study.study}': it is of {told}")
        if record.studies[study.study] != study.digest:
            raise UserError(f"{out}: study '{study.study}' was declared otherwise when it was judged: {_REMEDY}")
    _check_unchanged(out, VERDICTS, record)
    return pd.concat([_rows(out, study, record) for study in studies], ignore_index=True)


def _rows(out: Path, study: Study, record: Record) -> pd.DataFrame:
    name = f"tables/{study.study}.csv"
    _check_unchanged(out, name, record)
    try:
        rows = pd.read_csv(out / name, dtype=dict.fromkeys(_TEXT, str))
        for column in set(rows) & set(COLUMNS) - {*_TEXT, *_MIXED}:
            rows[column] = pd.to_numeric(rows[column])
    except ValueError as error:  # pandas' own errors are
        raise UserError(f"{out / name} is not a table of runs ({error}): {_REMEDY}") from None
    if absent := [column for column in COLUMNS if column not in (*rows, *_LATER, *IN_MEMORY)]:
        raise UserError(f"{out / name} has no column '{absent[0]}', as it is of an earlier version: {_REMEDY}")
    rows["reason"] = rows["reason"].fillna("")
    return rows[~rows["tuned"].astype(bool)].reindex(columns=list(COLUMNS))


def _check_unchanged(out: Path, name: str, record: Record) -> None:
    if not os.path.isfile(out / name):
        raise UserError(f"{out / name} is not there any more: {_REMEDY}")
    try:
        digest = file_digest(out / name)
    except OSError as error:
        raise UserError(f"{out / name}: {error.strerror or error}: {_REMEDY}") from None
    if digest != record.files.get(name):
        raise UserError(f"{out / name} was changed since the report was written: {_REMEDY}")
