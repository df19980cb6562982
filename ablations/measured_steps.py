"""Steps that were measured for `plan --classes`, once a device and kind of head and embedder, and kept in the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ablations import terminal
from ablations.tending import make_way
from core import record
from core.config import RunConfig
from core.store import Store, write_atomic

if TYPE_CHECKING:
    from core.step_cost import EmbedderStep, HeadStep

STEP_COST, STEP_COST_SCHEMA = "step_cost.json", 1


def measured_steps(
    store: Store, config: RunConfig, console: Console
) -> tuple[Sequence[HeadStep], Sequence[EmbedderStep], dict[str, Any]]:
    """Steps of the configuration's head and embedder on its device, from the store or measured now and kept there.

    Returns:
        Steps of the head, those of the embedder, and what they were measured on, as `core.result.environment` says.

    Raises:
        UserError: the store cannot be written, or a newer version has.
        RunFailure: they could not be measured.
    """
    from core.result import environment
    from core.step_cost import EmbedderStep, HeadStep, embedder_steps, head_steps

    store.check_writable()
    path = store.root / STEP_COST
    make_way(store, path, STEP_COST_SCHEMA, console)
    try:
        kept = record.read(path, STEP_COST_SCHEMA)["measured"]
    except FileNotFoundError:
        kept = {}
    now = environment(config.runtime.device, config.runtime.threads)
    where = f"{now['hardware']}, {now['device']}, {now['threads']} threads, torch {now['torch']}"
    kind = "documented" if config.loss.centre_update == "dense" else "fast"
    model, data = config.model, config.data
    names = {
        "head": f"{where}: {kind} head, width {model.embed_dim}",
        "embedder": f"{where}: {model.backbone} {model.neck} {model.norm} {model.embed_dim} {data.image_size} px "
        f"{data.augment} {config.precision.mode}",
    }  # fmt: skip

    def found(part: str, measure: Callable[[], Sequence[Any]]) -> list[dict[str, Any]]:
        if names[part] not in kept:
            kept[names[part]] = [asdict(step) for step in measure()]
            write_atomic(path, record.seal({"measured": kept}, STEP_COST_SCHEMA))
        steps: list[dict[str, Any]] = kept[names[part]]
        return steps

    if any(name not in kept for name in names.values()):
        console.print(f"measuring steps on {now['hardware']}, once: a few minutes, while nothing else should run")
    with terminal.bars(console) as progress:
        heads = [HeadStep(**facts) for facts in found("head", lambda: head_steps(kind, config, progress))]
        embedders = [EmbedderStep(**facts) for facts in found("embedder", lambda: embedder_steps(config, progress))]
    return heads, embedders, now
