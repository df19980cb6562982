"""`plan --classes N --gpus G`: what a run of a preset would take past this machine, and how far to trust that."""

from __future__ import annotations

from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from ablations import scaling, terminal
from ablations.measured_steps import measured_steps
from ablations.options import Chosen
from ablations.terminal import clock
from core.config import RunConfig
from core.errors import UserError

LINK = 100.0  # Gbit/s: what nodes of a training cluster have between them at least
_TO_BYTES = 1e9 / 8


def scale_facts(
    chosen: Chosen, classes: int | None, devices: int, link: float, price: float | None, console: Console
) -> dict[str, Any]:
    """The prediction as plain data; steps that were never measured on this device are measured first, and kept.

    Raises:
        UserError: a configuration that cannot be had.
        RunFailure: it could not be measured.
    """
    config = RunConfig().with_overrides({**chosen.request.preset.set, **chosen.request.overrides})
    classes = classes or config.data.classes
    if classes < devices or config.optim.batch_size < devices:
        raise UserError(
            f"--gpus {devices}: there are {classes} classes and a batch of {config.optim.batch_size} to share out"
        )
    heads, embedders, environment = measured_steps(chosen.store, config, console)
    head, embedder = scaling.head_fit(heads), scaling.embedder_fit(embedders)
    scale = scaling.predict(config, classes, devices, head, embedder, _parameters(config), link * _TO_BYTES)
    return {
        "preset": chosen.request.preset.preset, "classes": classes, "devices": devices, "batch": scale.batch,
        "steps": scale.steps, "samples": scale.steps * scale.batch, "sampled": scale.sampled,
        "measured_on": environment, "link_gbit_s": link,
        "step_ms": {
            "embedder": round(scale.embedder_ms, 3), "head": round(scale.head_ms, 3),
            "exchange": round(scale.exchange_ms, 3), "all": round(scale.step_ms, 3),
        },
        "seconds": round(scale.seconds, 1),
        "seconds_between": [round(seconds, 1) for seconds in scaling.between(scale.seconds, head, embedder)],
        "device_hours": round(scale.device_hours, 2),
        "price": None if price is None else round(scale.device_hours * price, 2),
        "memory_mb": {name: round(value / 1e6, 1) for name, value in scale.memory.items()},
        "sent_mb_per_step": {name: round(value / 1e6, 3) for name, value in scale.sent.items()},
        "error": {
            "head": {"median": round(head.median_error, 3), "largest": round(head.largest_error, 3),
                     "held_out": len(head.errors), "measured": len(heads)},
            "embedder": {"median": round(embedder.median_error, 3), "largest": round(embedder.largest_error, 3),
                         "held_out": len(embedder.errors), "measured": len(embedders)},
        },
    }  # fmt: skip


def _parameters(config: RunConfig) -> int:
    from core.model.embedder import Embedder, parameter_count

    model = config.model.model_copy(update={"pretrained": "none"})
    return parameter_count(Embedder(model, config.data.image_size, 0))


def print_scale(console: Console, facts: dict[str, Any]) -> None:
    """The prediction for people."""
    devices, steps, now = facts["devices"], facts["steps"], facts["measured_on"]
    say = partial(terminal.say, console)
    say(
        f"one run of preset {facts['preset']}: {facts['classes']:,} classes on {devices} devices, {facts['samples']:,} "
        f"samples in {steps:,} steps of {facts['batch']}, each against {facts['sampled']:,} classes"
    )
    say(f"a device is what was measured: {now['hardware']} ({now['device']}, {now['threads']} threads)\n")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "ms a step", "a run"):
        table.add_column(name, justify="left" if not name else "right")
    labels = {"embedder": "embedder", "head": "class head", "exchange": f"exchange at {facts['link_gbit_s']:g} Gbit/s"}
    for part, label in {**labels, "all": "together"}.items():
        ms = facts["step_ms"][part]
        table.add_row(label, f"{ms:,.2f}", clock(ms * steps / 1e3))
    terminal.PlainConsole(width=120).print(table)
    least, most = map(clock, facts["seconds_between"])
    errors = facts["error"]
    say(f"\nbetween {least} and {most}, by the largest errors of the model on steps that it was not fitted to:")
    for part in ("head", "embedder"):
        one = errors[part]
        say(
            f"  {labels[part]}: {one['median']:.0%} in the median, {one['largest']:.0%} at most, of {one['held_out']} "
            f"held out of {one['measured']} measured"
        )
    for what, parts in (("memory of a device", "memory_mb"), ("sent by a device in a step", "sent_mb_per_step")):
        told = ", ".join(f"{name} {value:,.1f}" for name, value in facts[parts].items() if value >= 0.05)
        say(f"{what}: {sum(facts[parts].values()):,.1f} MB ({told})" if told else f"{what}: nothing")
    run = sum(facts["sent_mb_per_step"].values()) * steps / 1e6
    price = "" if facts["price"] is None else f", {facts['price']:,.2f} at the price given"
    say(f"sent by a device in a run: {run:,.2f} TB; {facts['device_hours']:,.1f} device-hours{price}")
