"""`cost`: what a step of the class head takes, against the number of classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ablations import options, terminal
from ablations.options import AsJson, Device, StorePath
from ablations.tending import make_way
from ablations.views import print_json
from core.errors import RunFailure
from core.store import HEAD_COST, HEAD_COST_SCHEMA, Store
from reports.head_turns import head_turns


def cost(
    classes: Annotated[
        list[int] | None,
        typer.Option("--classes", min=10, help="Number of classes; may be repeated.", show_default="500 to 10,000,000"),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Embeddings a step.")] = 128,
    embed_dim: Annotated[int, typer.Option("--embed-dim", min=2, help="Width of the embeddings.")] = 256,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Of PyTorch.")] = 1,
    device: Device = "cpu",
    store: StorePath = Path(options.DEFAULT_STORE),
    as_json: AsJson = False,
) -> None:
    """Time and memory of a step of the class head, at sample rates 1, 0.3 and 0.1, kept in the store for the report.

    Run it while nothing else runs. Sizes that do not fit into memory are said and left out. The rates that finding 1
    rests on are timed in turn at 390,144 classes: with other --classes alone, what the store has of them stays.
    """
    options.check_device(device)
    from core.head_cost import CLASSES, TURN_CLASSES, measure

    opened = Store(store)
    opened.check_writable()
    console = terminal.stderr()
    make_way(opened, store / HEAD_COST, HEAD_COST_SCHEMA, console)
    timed = head_turns(opened)
    with terminal.bars(console) as progress:
        rows = measure(
            store, classes=classes or CLASSES, batch=batch, embed_dim=embed_dim, device=device, threads=threads,
            progress=progress,
        )  # fmt: skip
    print_json(rows) if as_json else terminal.stdout().print(_table(rows))
    if not any("ms" in row for row in rows):
        raise RunFailure("nothing_measured", f"nothing could be measured: {store / HEAD_COST} is not written")
    if timed and not head_turns(opened):
        terminal.say(
            console,
            f"the turns at {TURN_CLASSES:,} classes, on which finding 1 rests, were of another device or other threads "
            "and are no longer kept: `cost` without --classes measures them",
        )


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("classes", "rate", "head", "ms a step", "MB a step", "MB held"):
        table.add_column(name, justify="left" if name == "head" else "right")
    for row in rows:
        numbers = [row.get(name) for name in ("ms", "step_mb", "state_mb")]
        found = [row["reason"]] if "reason" in row else ["–" if one is None else f"{one:,.1f}" for one in numbers]
        table.add_row(f"{row['classes']:,}", f"{row['rate']:g}", row["head"], *found)
    return table
