"""The options that several verbs share, and how they become a request."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ablations import declarations, terminal
from ablations.executors import together
from ablations.planner import Request
from ablations.preset import DEFAULT_PRESET, Preset, load_preset
from ablations.registry import load_studies
from ablations.words import parse_seeds, parse_sets, words_of, words_of_each
from ablations.written_command import written
from core.config import RunConfig
from core.errors import UserError
from core.store import Store

DEFAULT_STORE = "runs"
DEFAULT_OUT = "reports/generated"

Studies = Annotated[
    list[str],
    typer.Argument(metavar="STUDY...|all|FILE", help="Studies by name, 'all', or YAML files.", show_default=False),
]
PresetName = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME|FILE",
        help="Scale: smoke, quick, standard, published, or a YAML file.",
        show_default=DEFAULT_PRESET,
    ),
]
SEEDS_HELP = "How many seeds, or which: '3', '0,1,7' or '10-19'."
Seeds = Annotated[str | None, typer.Option("--seeds", help=SEEDS_HELP, show_default="the preset's")]
Data = Annotated[
    list[str] | None, typer.Option("--data", help="Folder of images, each its own class; may be repeated.")
]
Eval = Annotated[
    list[str] | None, typer.Option("--eval", help="Folder to judge on: DIR/<identity>/<capture>, or flat.")
]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change the baseline, e.g. optim.lr=3e-4.")
]
StorePath = Annotated[Path, typer.Option("--store", help="Folder where runs live.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse folders with files that would be skipped.")]
Tuned = Annotated[bool, typer.Option("--tuned", help="Also with the values that `tune` chose for each arm.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs", min=1, help="Worker processes.", show_default="as measured here, else one a core; one a GPU"
    ),
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Failed runs as well, but not those bound to fail in the same way.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Control = Annotated[
    bool, typer.Option("--control/--no-control", help="The baseline against itself on other seeds, as a check.")
]
Deciding = Annotated[
    bool, typer.Option("--deciding", help="Only the arms that a verdict rests on, not those shown beside it.")
]
UntilResolved = Annotated[
    bool,
    typer.Option("--until-resolved", help="Seeds as the preset's looks need them: more only where a finding is open."),
]
Html = Annotated[
    bool, typer.Option("--html/--no-html", help="With report.html: the whole report in one file to send or print.")
]
Out = Annotated[Path, typer.Option("--out", help="Folder of the report.")]


@dataclass(frozen=True)
class Chosen:
    """A request, its store, and the words that ask for it again."""

    request: Request
    store: Store
    command: str
    until_resolved: bool = False

    @property
    def again(self) -> str:
        """The words for the same runs in the same store."""
        return " ".join([self.command, *map(shlex.quote, words_of(("--store", str(self.store.root), DEFAULT_STORE)))])

    def going_on(self, verb: str, *options: tuple[str, object, object]) -> str:
        """The whole command that goes on after a stop.

        Args:
            options: the verb's own, as `words_of` takes them.
        """
        return written(verb, " ".join([self.again, *map(shlex.quote, words_of(*options))]))


class Stopped(Exception):
    """The user stopped a command, and was told what became of things: there is nothing more to say."""


@contextmanager
def told_when_stopped(console: Console, to_go_on: str) -> Iterator[None]:
    """On Ctrl-C, or a termination signal that `sweep` takes for it, says what is kept and how to go on, and ends."""
    try:
        yield
    except KeyboardInterrupt:
        kept = "what is done is kept, and an unfinished run goes on from its last checkpoint if it has one"
        terminal.say(console, f"\nstopped; {kept}. To go on: {to_go_on}")
        raise Stopped from None


def choose(
    names: Sequence[str],
    preset: str | None,
    store: Path,
    *,
    seeds: str | None = None,
    data: Sequence[str] | None = None,
    evaluation: Sequence[str] | None = None,
    sets: Sequence[str] | None = None,
    device: str = "cpu",
    strict: bool = False,
    control: bool = True,
    until_resolved: bool = False,
    tuned: bool = False,
    deciding: bool = False,
    executor: str = "local",
) -> Chosen:
    """Turn command-line options into a request; `UserError` says what is wrong with them.

    A `preset` of None is the default one, or what a single run has in its file.
    """
    if not names:
        raise UserError("name at least one study, or 'all' (see `list`)")
    overrides = _overrides(sets, data, evaluation, device, strict=strict)
    check_device(device, executor)
    refuse_file(store)
    loaded = load_preset(DEFAULT_PRESET if preset is None else preset)
    config = _single_config(names, overrides)
    named = _seeds_to_resolve(seeds, loaded, config) if until_resolved else parse_seeds(seeds, loaded.seeds)
    if config is not None:
        _refuse_for_single_run(
            {"--tuned": tuned, "--deciding": deciding, "--preset": preset is not None, "--seeds": seeds is not None}
        )
    words = [
        *names, *([] if config else ["--preset", loaded.spelled]), *words_of(("--seeds", seeds or None, None)),
        *words_of_each("--data", data), *words_of_each("--eval", evaluation), *words_of_each("--set", sets),
        *words_of(
            ("--no-control", not control, False), ("--until-resolved", until_resolved, False),
            ("--tuned", tuned, False), ("--deciding", deciding, False),
            # Without it a sweep that was begun on a GPU would go on, and a report of one be repeated, on the CPU.
            ("--device", device, "cpu"), ("--strict", strict, False),
        ),
    ]  # fmt: skip
    request = Request(
        studies=() if config else tuple(load_studies(list(names))),
        preset=loaded,
        seeds=named,
        overrides=overrides,
        config=config,
        control=control,
        tuned=tuned,
        deciding=deciding,
    )
    return Chosen(request, Store(store), shlex.join(words), until_resolved)


def _overrides(
    sets: Sequence[str] | None, data: Sequence[str] | None, evaluation: Sequence[str] | None, device: str, *,
    strict: bool,
) -> dict[str, Any]:  # fmt: skip
    """What options change in the configuration, by field."""
    overrides = {**parse_sets(sets or []), "runtime.device": device}
    if strict:
        overrides["data.strict"] = True
    for option, field, folders in (("--data", "data.source", data), ("--eval", "eval.source", evaluation)):
        if "" in (folders or []):  # of a variable that is not set; the field would refuse it by a name of its own
            raise UserError(f"{option}: '' is not a folder")
        if folders:
            overrides[field] = tuple(folders)
    return overrides


def _seeds_to_resolve(seeds: str | None, preset: Preset, config: RunConfig | None) -> tuple[int, ...]:
    """The seeds of the preset's last look, for --until-resolved; in order, as a look is of the first of them."""
    named = parse_seeds(seeds, max(preset.looks, default=preset.seeds))
    if config is not None:
        raise UserError("--until-resolved: a single run tests no finding; name studies")
    if not preset.looks:
        raise UserError(f"--until-resolved: preset {preset.preset} has no looks, nothing is ever decided of it")
    if len(named) != (last := max(preset.looks)):
        raise UserError(
            f"--until-resolved: the last look of preset {preset.preset} is at {last} seeds, --seeds names "
            f"{len(named)}: name {last}, or leave --seeds out"
        )
    return tuple(sorted(named))


def _refuse_for_single_run(given: Mapping[str, bool]) -> None:
    """Raises `UserError` for the first option that was given: a single run has its own settings and seed."""
    if named := [option for option, there in given.items() if there]:
        raise UserError(f"{named[0]} is for studies, not for a single run")


def refuse_file(store: Path) -> None:
    """Raises `UserError` for a store that is a file: it would look like one without runs."""
    if os.path.exists(store) and not os.path.isdir(store):
        raise UserError(f"--store: '{store}' is not a folder")


def check_device(device: str, executor: str = "local") -> None:
    """Raises `UserError` for what is no device, or none of this machine, which makes what runs of a cluster share."""
    try:
        RunConfig().with_overrides({"runtime.device": device})
    except UserError:
        raise UserError(f"--device {device}: expected cpu, cuda or cuda:N") from None
    if device.startswith("cuda"):
        import torch

        if executor == "ray" and device != "cuda":
            raise UserError(f"--device {device}: Ray gives each run its GPU: use --device cuda")
        if not torch.cuda.is_available():
            there = "start it where there is one, as teacher features are made there"
            advice = there if executor == "ray" else "use --device cpu"
            raise UserError(f"--device {device}: no CUDA device is available here; {advice}")
        if int(device.partition(":")[2] or 0) >= (count := torch.cuda.device_count()):
            raise UserError(f"--device {device}: there are {count} CUDA devices here, from 0 on")
        if (ranks := together.ranks_here()) > count:
            told = f"torchrun started {ranks} ranks on this machine, for one CUDA device each, of which it has {count}"
            raise UserError(f"--device {device}: {told}: lower --nproc-per-node")


def _single_config(names: Sequence[str], overrides: dict[str, Any]) -> RunConfig | None:
    """A run's own config.yaml in place of a study: the run is repeated as it was."""
    if len(names) != 1 or not names[0].endswith((".yaml", ".yml")) or not os.path.isfile(names[0]):
        return None
    path = Path(names[0])
    data, _ = declarations.parse(str(path), declarations.text_of(path))
    if not {"data", "model", "optim"} <= set(data):
        return None
    config, _ = declarations.read(path, RunConfig)
    # Where this machine keeps its cache is not the file's to say: it may come from elsewhere.
    return config.with_overrides({**overrides, "runtime.cache_dir": None})
