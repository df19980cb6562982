from __future__ import annotations

import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from core.config import RunConfig
from core.support import expected_pairs
from reports.claims import Arm, Study
from reports.frame import build_frame
from reports.markdown import code, escape, interval, number, spread, table
from reports.material import with_tuned_values
from reports.runs import results
from reports.stats import Interval
from reports.tables import arm_table, cost_table, difference_table, weak_note, write_csv
from tests.reports.conftest import reseal

HOSTILE = [
    "a|b", "a\\|b", "**bold**", "_it_ x", "<script>alert(1)</script>", "[x](http://evil.test)", "![x](y)", "`tick`",
    "``", "two\nlines\n\n# head", "&lt;b&gt;", "http://evil.test", "~~gone~~", "end\\",
]  # fmt: skip


class Page(HTMLParser):
    """Cells of the one table of a page as text, and the tags met."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.feed(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.replace("\n", "")


PLAIN = {"table", "thead", "tbody", "tr", "th", "td", "code"}


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("make", [escape, code])
def test_text_from_outside_is_shown_as_itself(text: str, make: Any) -> None:
    page = Page(table(["h", "i"], [[make(text), "after"]]))
    shown = " ".join(text.split()) if "\n" in text else text
    assert page.rows[1] == [shown, "after"]
    assert page.tags <= PLAIN


def test_a_table_refuses_a_short_row() -> None:
    with pytest.raises(ValueError, match="1 cells in a table of 2"):
        table(["a", "b"], [["x"]])


def test_numbers() -> None:
    assert number(1386032, 0) == "1,386,032"
    assert number(-0.0314, 3, sign=True) == "−0.031"
    assert number(math.nan) == spread([math.nan]) == spread([]) == "–"
    assert spread([0.5]) == "0.500"
    assert spread([0.4, 0.6, math.nan]) == "0.500 ± 0.141"  # SD with ddof 1; ddof 0 gives 0.100
    assert interval(Interval(0.031, 0.01, 0.052, 0.01, 0, 2, math.inf, 3)) == "+0.031 [+0.010, +0.052]"
    assert interval(Interval(0.1, math.nan, math.nan, math.nan, 0, 0, math.inf, 1)) == "+0.100 (one seed, no interval)"
    assert interval(Interval(0.0, 0, 0, 0, 0, 2, math.inf, 3)) == "+0.000 (the same in all 3 seeds)"
    assert interval(Interval(2.0, 1.5, 2.5, 0.1, 0, 2, math.inf, 3), ratio=True) == "×2.00 [×1.50, ×2.50]"


def test_arm_table_shows_every_arm_with_its_seeds_and_published_values(world: Any) -> None:
    frame = build_frame(world.cells, world.store)
    rows = {row[0]: row for row in Page(arm_table(world.studies[0], frame).markdown).rows[1:]}
    assert list(rows) == ["ln (baseline)", "bn", "ln_bn", "ln_bn_imagenet"]
    assert rows["bn"][1] == "2 (1 failed)"
    assert rows["ln_bn_imagenet"][1] == "0 (3 unavailable)"
    assert set(rows["ln_bn_imagenet"][2:]) == {"–"}
    assert rows["ln (baseline)"][-2:] == ["–", "0.784 (V4)"]
    assert rows["bn"][-1] == "0.721 (V4), 0.876 (V3)"
    ours = frame[(frame["arm"] == "ln") & (frame["state"] == "done")]["tpr@1e-4"]
    assert rows["ln (baseline)"][2] == f"{ours.mean():.3f} ± {ours.std(ddof=1):.3f}"


def few_identities(frame: pd.DataFrame, identities: int) -> pd.DataFrame:
    """The frame of runs that were judged on so many identities."""
    pairs = {f"pairs@{name}": expected_pairs(identities, float(name)) for name in ("1e-4", "1e-3", "1e-2")}
    return frame.assign(identities=float(identities), **pairs)


def test_rates_that_may_not_be_read_are_in_parentheses_and_the_page_says_why(world: Any) -> None:
    study, frame = world.studies[0], build_frame(world.cells, world.store)
    assert weak_note(study, frame) == ""
    assert "(" not in arm_table(study, frame).rows[0][2]
    frame = few_identities(frame, 82)
    first = arm_table(study, frame).rows[0]
    assert [cell.startswith("(") and cell.endswith(")") for cell in first[2:7]] == [True, True, False, False, False]
    whole = [cell.strip("()") for cell in first[2:4]]
    assert whole == [spread(frame[(frame["arm"] == "ln")][name].tolist()) for name in ("tpr@1e-4", "tpr@1e-3")]
    assert weak_note(study, frame) == (
        "Numbers in parentheses may not be read: a rate takes 30 expected false positives among the test set's pairs "
        "of identities, and it has 0.3 at FPR 1e-4, 3.3 at FPR 1e-3."
    )
    last = arm_table(study, frame).rows[3]  # of an arm without a run
    assert set(last[2:7]) == {"–"}


def test_a_difference_on_a_rate_that_may_not_be_read_is_marked_as_well(world: Any) -> None:
    study, frame = world.studies[0], few_identities(build_frame(world.cells, world.store), 24)
    table = arm_table(study, frame)
    (place,) = [i for i, name in enumerate(table.header) if name.endswith("difference to the baseline")]
    assert table.header[place].startswith("TPR@1e-2")
    assert [row[place][0] for row in table.rows] == ["–", "(", "(", "–"]
    assert "2.8 at FPR 1e-2." in weak_note(study, frame)


def test_the_difference_is_paired_over_the_seeds_of_both(world: Any) -> None:
    frame = build_frame(world.cells, world.store)
    rows = {row[0]: row for row in Page(arm_table(world.studies[0], frame).markdown).rows[1:]}
    wide = frame[frame["study"] == "norm"].pivot(index="seed", columns="arm", values="tpr@1e-4")
    difference = (wide["bn"] - wide["ln"]).dropna()
    assert len(difference) == 2
    assert rows["bn"][-2].startswith(number(float(difference.mean()), sign=True) + " [")


def test_cost_table(world: Any) -> None:
    rows = Page(cost_table(world.studies[0], build_frame(world.cells, world.store)).markdown).rows
    by_arm = {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}
    assert by_arm["ln_bn"]["parameters"] == "1,386,544"
    assert by_arm["bn"]["samples seen"] == f"{RunConfig().optim.samples:,}"
    assert by_arm["ln_bn_imagenet"]["parameters"] == "–"


def frame_of_another_rate(world: Any) -> pd.DataFrame:
    """The world's frame, where the learning rate of arm `bn` differs without a declaration."""
    key = world.cell("norm", "bn", 0).key
    changed = world.store.result(key)
    changed["config"]["optim"]["lr"] = 0.5
    reseal(world.store, key, changed)
    return build_frame(world.cells, world.store)


def test_what_differs_names_changes_what_they_bring_and_what_was_not_declared(world: Any) -> None:
    frame = frame_of_another_rate(world)
    rows = {row[0]: row for row in Page(difference_table(world.studies[0], frame).markdown).rows[1:]}
    assert rows["bn"][2] == "model.norm=bn"
    assert rows["bn"][4] == f"optim.lr: {RunConfig().optim.lr} → 0.5"
    assert rows["ln_bn"][3:] == ["parameters 1,386,032 → 1,386,544", "–"]
    ladder = {row[0]: row for row in Page(difference_table(world.studies[1], frame).markdown).rows[1:]}
    assert "classes" in ladder["x1"][3]


def test_tuned_fields_count_as_declared(world: Any) -> None:
    frame = frame_of_another_rate(world)
    tuning = {"norm": {"bn": {"values": {"optim.lr": 0.5}}, "ln": {"values": None}}}
    study = with_tuned_values(world.studies[0], tuning)
    rows = {row[0]: row for row in Page(difference_table(study, frame).markdown).rows[1:]}
    assert rows["bn"][2] == "model.norm=bn, optim.lr=0.5"
    assert rows["bn"][4] == "–"
    study = with_tuned_values(world.studies[0], {"norm": {"ln": {"values": {"optim.lr": 0.1}}}})
    rows = {row[0]: row for row in Page(difference_table(study, frame).markdown).rows[1:]}
    assert rows["bn"][4] == "–"


def test_a_scaled_value_is_shown_as_run_or_as_declared(world: Any) -> None:
    study = Study(
        study="norm", title="t", question="q", baseline="ln",
        arms={
            "ln": Arm(), "bn": Arm(set={"data.image_size": {"scale": 0.75}}),
            "new": Arm(set={"data.images": {"scale": 2}}),
        },
    )  # fmt: skip
    frame, found = build_frame(world.cells, world.store), results(world.cells, world.store)
    size = found[world.cell("norm", "bn", 0).key]["config"]["data"]["image_size"]
    rows = {row[0]: row for row in Page(difference_table(study, frame).markdown).rows[1:]}
    assert rows["bn"][2] == f"data.image_size={size}"
    assert rows["new"][2] == "data.images = 2 of the preset's"


def test_hostile_arm_names_keep_the_table(world: Any) -> None:
    study = Study(study="norm", title="t", question="q", baseline="ln", arms={"ln": Arm(), "<b>|x`": Arm(about="a|b")})
    frame = build_frame(world.cells, world.store)
    page = Page(difference_table(study, frame).markdown)
    assert page.rows[2][:2] == ["<b>|x`", "a|b"]
    assert "b" not in page.tags


def test_csv_keeps_all_rows_to_the_last_digit(world: Any, tmp_path: Path) -> None:
    frame = build_frame(world.cells, world.store)
    write_csv(frame, tmp_path / "x.csv")
    back = pd.read_csv(tmp_path / "x.csv", dtype={"key": str})
    assert len(back) == len(frame)
    assert back["tpr@1e-4"].dropna().tolist() == frame["tpr@1e-4"].dropna().tolist()
