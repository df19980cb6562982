"""`fields`: all that a declaration or `--set` can name, with its values."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ablations import settable, terminal
from ablations.options import AsJson
from ablations.registry import baseline_values
from ablations.views import print_json
from core.config import RunConfig, field_names
from reports.cells import LESS_IS_BETTER, READABLE
from reports.claims import findings


def fields(as_json: AsJson = False) -> None:
    """All that a study, a preset or --set can name: fields, metrics, findings."""
    facts = fields_facts()
    print_json(facts) if as_json else print_fields(terminal.stdout(), facts)


def fields_facts() -> dict[str, Any]:
    """Fields of a run with what they take, metrics of contrasts, and the findings of the record."""
    defaults = baseline_values(RunConfig())
    rows = [
        {"field": name, "default": defaults[name], "takes": _choices(name), "about": _about(name, about)}
        for name, about in field_names().items() if settable.can_name(name)
    ]  # fmt: skip
    claims = [{"id": one.id, "claim": one.claim} for one in findings().values()]
    metrics = [{"metric": name, "better": "less" if name in LESS_IS_BETTER else "more"} for name in READABLE]
    return {"fields": rows, "metrics": metrics, "findings": claims}


def _about(name: str, about: str) -> str:
    return f"{about} (arms only)".lstrip() if settable.arms_alone(name) else about


def _choices(name: str) -> list[Any]:
    """All values of a field that takes but a few; none of others."""
    section, _, leaf = name.partition(".")
    kind = RunConfig.model_fields[section].annotation
    annotation = kind.model_fields[leaf].annotation  # type: ignore[union-attr]
    return list(get_args(annotation)) if get_origin(annotation) is Literal else []


def print_fields(console: Console, facts: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("field", "default", "about"):
        table.add_column(column)
    for row in facts["fields"]:
        default = ", ".join(row["default"]) if isinstance(row["default"], tuple) else str(row["default"])
        told = [" | ".join(map(str, row["takes"])), row["about"]]
        table.add_row(row["field"], default, ": ".join(filter(None, told)))
    console.print(table)
    more = ", ".join(row["metric"] for row in facts["metrics"] if row["better"] == "more")
    less = ", ".join(row["metric"] for row in facts["metrics"] if row["better"] == "less")
    terminal.say(console, Text.assemble("\n", ("metrics of contrasts", "bold"), f": {more}"))
    terminal.say(console, Text.assemble(("where less is better", "bold"), f": {less}"))
    console.print(Text("\nfindings of the record", "bold"))
    for row in facts["findings"]:
        terminal.say(console, f"  {row['id']}: {row['claim']}")
