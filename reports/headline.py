"""The README's first table: what became of every finding, as the reports kept in `reports/reference` say.

`python -m reports.headline README.md` writes it between its two marks; a test holds the README to it.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from core.errors import UserError
from core.store import write_atomic
from reports.cells import PAIRS
from reports.claims import findings
from reports.index_page import published
from reports.markdown import NONE, escape, table
from reports.metrics import metric_name
from reports.summary import read_summary

REFERENCE = Path(__file__).resolve().parent / "reference"
# Folder under `reports/reference` -> the column's name.
SHOWN = {"cpu-quick": "procedural documents", "cpu-quick-real": "real cards and photographs"}
BEGIN, END = "<!-- findings: begin -->", "<!-- findings: end -->"


def headline(root: Path = REFERENCE, link: str = "reports/reference") -> str:
    """Markdown: one row a finding of the record, one column of verdicts for every report that is there.

    Args:
        root: the folder of reports.
        link: to it, from where the table stands.

    Raises:
        UserError: a report without its table of findings, or none at all.
    """
    reports = {name: _verdicts(root / name) for name in SHOWN if (root / name / "index.md").is_file()}
    if not reports:
        raise UserError(f"{root}: there is no report in it")
    header = ["#", "documented claim", "published TPR@1e-4"]
    header += [f"[{SHOWN[name]}]({link}/{name}/index.md){_read_at(root / name)}" for name in reports]
    rows = []
    for finding in findings().values():
        verdicts = [_cell(found.get(finding.label)) for found in reports.values()]
        rows.append([finding.label, escape(finding.claim), published(finding), *verdicts])
    return table(header, rows, right=(0,))


def _verdicts(folder: Path) -> Mapping[str, Mapping[str, str]]:
    path = folder / "tables" / "index-findings.csv"
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            return {row["#"]: row for row in csv.DictReader(handle)}
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: is no table of findings ({error})") from None


def _read_at(folder: Path) -> str:
    """Which TPR most of a report's verdicts rest on; a report of few documents is read at a looser FPR."""
    estimates = [one for found in read_summary(folder).findings for one in found.estimates]
    read = Counter(one.metric for one in estimates if one.decides and one.metric in PAIRS)
    return f", {metric_name(read.most_common(1)[0][0])}" if read else ""


def _cell(row: Mapping[str, str] | None) -> str:
    return NONE if row is None else f"**{escape(row['verdict'])}**"


def written_into(text: str, shown: str, source: str = "the text") -> str:
    """The text with the table between its marks; `UserError`, naming `source`, where it does not have both, once."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise UserError(f"{source} needs one line '{BEGIN}' and one '{END}'")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{shown}\n{END}{rest.split(END)[1]}"


def main(words: list[str], root: Path = REFERENCE) -> int:
    """Write the table into the named file; 2 for a mistake of the caller's."""
    try:
        if len(words) != 1:
            raise UserError("name the one file to write the table into, e.g. README.md")
        path = Path(words[0])
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None
        write_atomic(path, written_into(text, headline(root), str(path)).encode())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
