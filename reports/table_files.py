"""Tables as files: CSV for programs and LaTeX for papers."""

from __future__ import annotations

import csv
import io
import re

from core.csv_cells import inert
from reports.inline import plain, tokens
from reports.markdown import NONE
from reports.page import Table

_SEPARATOR = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")  # of thousands
# With an interval or what became of it, and of which seeds it is.
_NUMBERS = re.compile(
    r"[+-]?(\d{1,3}(,\d{3})+(\.\d+)?|[\d.]+(e[+-]?\d+)?)( ± [\d.,]+| \[[\d+., -]+\]| \([a-z0-9 ,]+\))?"
    r"(; of \d+ seeds, with which the baseline has [\d.]+)?"
)
_LONG = 40  # characters from which a column of LaTeX is a paragraph
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "`": r"\textasciigrave{}", "'": r"\textquotesingle{}", '"': r"\textquotedbl{}",
    # After \\ or \midrule these would be taken for an optional argument.
    "[": "{[}", "]": "{]}", "*": "{*}",
    # Ligatures: -- is a dash, ?` and !` are Spanish marks (the grave accent is a command already).
    "-": "-{}",
    "±": r"$\pm$", "−": "$-$", "→": r"$\rightarrow$", "×": r"$\times$", "≤": r"$\leq$", "≥": r"$\geq$",
    "·": r"$\cdot$", "–": "--", "—": "---", "…": r"\ldots{}", "\u00a0": "~",
}  # fmt: skip
_COMMANDS = {"strong": r"\textbf{", "em": r"\emph{"}
_NOTE = "% needs: \\usepackage{booktabs, textcomp, array} and \\usepackage[T1]{fontenc}\n"


def to_csv(table: Table) -> str:
    """The table as CSV (RFC 4180, lines end with \\r\\n): plain text, ASCII minus signs, numbers without separators.

    A dash, which stands for what is not known, is an empty cell. Text that a spreadsheet would take for a formula has
    an apostrophe before it.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([plain(cell) for cell in table.header])
    writer.writerows([_csv_cell(cell) for cell in row] for row in table.rows)
    return buffer.getvalue()


def _csv_cell(cell: str) -> str:
    text = plain(cell).replace("−", "-")
    if text == NONE:
        return ""
    return _SEPARATOR.sub("", text) if _NUMBERS.fullmatch(text) else inert(text)


def to_latex(table: Table) -> str:
    """The table as a LaTeX ``tabular`` with booktabs rules, to be put into a ``table`` of the reader's own."""
    columns = list(zip(table.header, *table.rows, strict=True))
    long = [max(map(len, map(plain, column))) > _LONG for column in columns]
    spec = "".join(
        "r" if index in table.right else rf">{{\raggedright\arraybackslash}}p{{{0.9 / len(columns):.2f}\linewidth}}"
        if is_long else "l"
        for index, is_long in enumerate(long)
    )  # fmt: skip
    lines = [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", _latex_row(table.header, long), r"\midrule"]
    lines += [_latex_row(row, long) for row in table.rows]
    title = " ".join(table.title.split())
    return f"% {title}\n{_NOTE}" + "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_row(cells: tuple[str, ...], long: list[bool]) -> str:
    breaks = (r" \newline " if is_long else "; " for is_long in long)
    return " & ".join(_latex_cell(cell, end) for cell, end in zip(cells, breaks, strict=True)) + r" \\"


def _latex_cell(cell: str, line_break: str) -> str:
    parts = []
    for token in tokens(cell):
        name = token.type.removesuffix("_open").removesuffix("_close")
        if token.type == "hardbreak":
            parts.append(line_break)
        elif token.type == "softbreak":
            parts.append(" ")
        elif token.type == "code_inline":
            parts.append(rf"\texttt{{{latex_text(token.content)}}}")
        elif name in _COMMANDS:
            parts.append(_COMMANDS[name] if token.nesting > 0 else "}")
        else:
            parts.append(latex_text(token.content))
    return "".join(parts)


def latex_text(text: str) -> str:
    """Plain text that LaTeX sets as itself; letters beyond ASCII stay, as LaTeX reads UTF-8."""
    shown = "".join(_LATEX.get(letter, letter) for letter in text)
    # A lone hyphen is itself: the guard is needed between two of them only.
    return re.sub(r"-\{\}(?!-)", "-", shown)
