from __future__ import annotations

import csv
import io
import re

import pytest

from reports.inline import plain
from reports.markdown import code, escape
from reports.page import Table
from reports.table_files import latex_text, to_csv, to_latex

HOSTILE = [
    "a|b", "a\\|b", "**bold**", "_it_ x", "<script>alert(1)</script>", "[x](http://evil.test)", "![x](y)", "`tick`",
    "``", "&lt;b&gt;", "http://evil.test", "~~gone~~", "end\\", 'say "a", or b', "<br>", "# head", "1. one", "- x",
    "$x$ & 50 % # {y} ^2 ~", "\\input{/etc/passwd}", "%", "--set a=b", "=cmd|' /C calc'!A0", "@SUM(1)", "+1+cmd()",
    "-1-2", '-1 (HYPERLINK("http://evil.test"))',
]  # fmt: skip
# What a spreadsheet would take for a formula: CSV has an apostrophe before it.
FORMULAS = [words for words in HOSTILE if words.startswith(("=", "+", "-", "@"))]


def of_cells(*cells: str) -> Table:
    return Table.of("s", "A title", ["name", "value"], [[cell, "0"] for cell in cells], right=(1,))


def rows(table: Table) -> list[list[str]]:
    return list(csv.reader(io.StringIO(to_csv(table), newline="")))


@pytest.mark.parametrize("make", [escape, code])
def test_csv_gives_back_what_was_put_in(make: object) -> None:
    assert callable(make)
    expected = [f"'{words}" if words in FORMULAS else words for words in HOSTILE]
    assert [row[0] for row in rows(of_cells(*map(make, HOSTILE)))[1:]] == expected


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("−0.031", "-0.031"),
        ("+0.031 [−0.010, +0.052]", "+0.031 [-0.010, +0.052]"),
        ("1,386,032", "1386032"),
        ("1,386.5", "1386.5"),
        ("1,2", "1,2"),
        ("–", ""),
        ("**`ln`** (baseline)", "ln (baseline)"),
        ("[norm](norm.md), [neck](neck.md)", "norm, neck"),
        ("16,256: 0.615<br>390,144: 0.754", "16,256: 0.615; 390,144: 0.754"),
        ("0.500 ± 0.010", "0.500 ± 0.010"),
        ("+693,016 (the same in all 3 seeds)", "+693016 (the same in all 3 seeds)"),
        ("−1,693,016 [−1,700,000, −1,686,032]", "-1693016 [-1700000, -1686032]"),
        (
            "−0.050 [−0.060, −0.041]; of 2 seeds, with which the baseline has 0.518",
            "-0.050 [-0.060, -0.041]; of 2 seeds, with which the baseline has 0.518",
        ),
        ("`0.9,0.999`", "0.9,0.999"),
        ("−1; of 2 seeds, =cmd()", "'-1; of 2 seeds, =cmd()"),
    ],
)
def test_csv_is_plain(cell: str, shown: str) -> None:
    assert rows(of_cells(cell))[1] == [shown, "0"]


LATEX = {
    "TPR@1e-4": "TPR@1e-4", "50 % & more": r"50 \% \& more", "a_b#c": r"a\_b\#c", "$x$": r"\$x\$", "{y}": r"\{y\}",
    "~^": r"\textasciitilde{}\textasciicircum{}", "\\input": r"\textbackslash{}input", "--lr": "-{}-lr",
    "a---b": "a-{}-{}-b", "a-b": "a-b", "?`": r"?\textasciigrave{}", "[x]": "{[}x{]}", "*": "{*}",
    "<b>|": r"\textless{}b\textgreater{}\textbar{}", "0.5 ± 0.1": r"0.5 $\pm$ 0.1", "−1 → 2": r"$-$1 $\rightarrow$ 2",
    "×2": r"$\times$2", "–": "--", "“ü”": "“ü”",
}  # fmt: skip


@pytest.mark.parametrize("text", LATEX)
def test_latex_sets_text_as_itself(text: str) -> None:
    assert latex_text(text) == LATEX[text]


@pytest.mark.parametrize("make", [escape, code])
@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_a_cell_is_a_command_a_comment_or_a_column(text: str, make: object) -> None:
    assert callable(make)
    (row,) = re.findall(r"\\midrule\n(.*)\n\\bottomrule", to_latex(of_cells(make(text))))
    cell = row.removesuffix(r" & 0 \\")
    assert cell != row
    known = r"\\(text(backslash|asciitilde|asciicircum|less|greater|bar|asciigrave|quotesingle|quotedbl)\{\}|[{}$&#_%])"
    rest = re.sub(known, "", re.sub(r"^\\texttt\{(.*)\}$", r"\1", cell)).replace("{[}", "").replace("{]}", "")
    rest = rest.replace("{*}", "").replace("-{}-", "--")
    assert not re.search(r"[\\{}$&#_%~^]", rest), cell


def test_latex_is_a_tabular_with_rules() -> None:
    table = Table.of("s", "A\ntitle", ["arm", "n", "notes"], [["**`a`**", "1", "long " * 9 + "end<br>next"]], right=[1])
    text = to_latex(table)
    assert text.startswith("% A title\n% needs: \\usepackage{booktabs")
    assert r"\begin{tabular}{lr>{\raggedright\arraybackslash}p{0.30\linewidth}}" in text
    assert r"\toprule" + "\narm & n & notes \\\\\n" + r"\midrule" in text
    assert r"\textbf{\texttt{a}} & 1 & " in text
    assert r"end \newline next \\" in text
    assert text.endswith("\\bottomrule\n\\end{tabular}\n")


def test_a_break_in_a_narrow_column_is_no_new_line() -> None:
    assert r"a; b & 0 \\" in to_latex(of_cells("a<br>b"))


def test_plain_text_of_a_cell() -> None:
    assert plain("**a** *b* `c|d` [e](e.md)<br>f&amp;g") == "a b c|d e; f&g"
