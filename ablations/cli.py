"""The command line: `python -m ablations VERB`. What a user got wrong ends with one line and exit code 2."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from ablations import (
    calibrate_cli,
    compare_cli,
    cost_cli,
    data_cli,
    fields_cli,
    map_cli,
    options,
    repeat_cli,
    report_cli,
    scale_cli,
    store_cli,
    store_views,
    sweep_cli,
    terminal,
    tune_cli,
    views,
)
from ablations.executors.layout import Layout
from ablations.options import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    AsJson,
    Control,
    Data,
    Device,
    Eval,
    Jobs,
    PresetName,
    Seeds,
    Sets,
    StorePath,
    Strict,
)
from ablations.planner import Plan, plan
from ablations.registry import load_study, study_names
from ablations.sweep import bars
from core.errors import RunFailure, UserError, shown
from core.store import Store

app = typer.Typer(
    help="Ablation studies of margin-loss embedding models, judged as claims.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip


app.add_typer(data_cli.app, name="data")
app.add_typer(store_cli.app, name="store")
app.command("calibrate")(calibrate_cli.calibrate)
app.command("cost")(cost_cli.cost)
app.command("map")(map_cli.map_)
app.command("tune")(tune_cli.tune)


@app.command("list")
def list_(preset: PresetName = None, store: StorePath = Path(options.DEFAULT_STORE), as_json: AsJson = False) -> None:
    """Studies, findings, arms, and what is done."""
    plans, notes = dict[str, Plan](), list[str]()
    for name in study_names():
        chosen = options.choose([name], preset, store, control=False)
        try:
            plans[name] = plan(chosen.request, chosen.store)
        except UserError as error:  # weights that cannot be had: what there is can be listed all the same
            notes.append(str(error))
    facts = views.list_facts(plans, list(dict.fromkeys(notes)))
    named = chosen.request.preset.preset
    views.print_json(facts) if as_json else views.print_list(terminal.stdout(), facts, named)


app.command("fields")(fields_cli.fields)


@app.command()
def show(study: Annotated[str, typer.Argument(metavar="STUDY|FILE")], as_json: AsJson = False) -> None:
    """One study: the finding, the published numbers, arms as differences, confounds."""
    loaded = load_study(study)
    facts = views.show_facts(loaded)
    views.print_json(facts) if as_json else views.print_show(terminal.stdout(), loaded.study, facts)


@app.command("plan")
def plan_(
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="STUDY...|all|FILE", help="As of `run`; not with --classes or --gpus.")
    ] = None,
    preset: PresetName = None, seeds: Seeds = None, data: Data = None, evaluation: Eval = None,
    sets: Sets = None, store: StorePath = Path(options.DEFAULT_STORE), device: Device = "cpu", strict: Strict = False,
    control: Control = True, deciding: options.Deciding = False, tuned: options.Tuned = False,
    jobs: Jobs = None,
    classes: Annotated[
        int | None, typer.Option("--classes", min=10, help="One run of the preset with so many classes: what it takes.")
    ] = None,
    gpus: Annotated[
        int | None, typer.Option("--gpus", min=1, help="The same, on so many devices like --device.")
    ] = None,
    link: Annotated[
        float | None,
        typer.Option("--link", min=0.001, help="Gbit/s between devices, for --gpus.", show_default=str(scale_cli.LINK)),
    ] = None,
    price: Annotated[float | None, typer.Option("--price", min=0, help="Of an hour of a device, for --gpus.")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """What `run` would do: new, cached and failed runs, time and memory.

    With --classes or --gpus: time, memory, traffic and price of one run of the preset past this machine, from steps
    that are measured here once, with the error of that model on steps that it was not fitted to.
    """
    if classes is not None or gpus is not None:
        if studies:
            raise UserError("--classes and --gpus are of one run of a preset: leave the studies out")
        for option, given in (
            ("--seeds", seeds), ("--data", data), ("--eval", evaluation), ("--strict", strict),
            ("--no-control", not control), ("--deciding", deciding), ("--tuned", tuned), ("--jobs", jobs),
        ):  # fmt: skip
            if given:
                raise UserError(f"--classes and --gpus are of one run of a preset: leave out {option}")
        chosen = options.choose(["all"], preset, store, sets=sets, device=device)
        facts = scale_cli.scale_facts(chosen, classes, gpus or 1, link or scale_cli.LINK, price, terminal.stderr())
        views.print_json(facts) if as_json else scale_cli.print_scale(terminal.stdout(), facts)
        return
    for option, number in (("--link", link), ("--price", price)):
        if number is not None:
            raise UserError(f"{option} is for --classes or --gpus: see `plan --help`")
    chosen = options.choose(
        studies or [], preset, store, seeds=seeds, data=data, evaluation=evaluation, sets=sets, device=device,
        strict=strict, control=control, deciding=deciding, tuned=tuned,
    )  # fmt: skip
    planned = plan(chosen.request, chosen.store)
    facts = views.plan_facts(chosen, planned, Layout.choose(jobs, len(planned.runs), device).jobs)
    views.print_json(facts) if as_json else views.print_plan(terminal.stdout(), facts, every_run=True)


app.command("run")(sweep_cli.run)


@app.command()
def status(store: StorePath = Path(options.DEFAULT_STORE), as_json: AsJson = False) -> None:
    """Runs of a store by state, with the reasons of failures."""
    options.refuse_file(store)
    facts = store_views.status_facts(Store(store))
    views.print_json(facts) if as_json else store_views.print_status(terminal.stdout(), facts)


app.command("report")(report_cli.report)
app.command("repeat")(repeat_cli.repeat)
app.command("compare")(compare_cli.compare)


@app.command("run-info")
def run_info(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A run's key, or its first digits.")],
    store: StorePath = Path(options.DEFAULT_STORE), as_json: AsJson = False,
) -> None:  # fmt: skip
    """One run, whole, with the command that repeats it."""
    facts = store_views.run_info_facts(Store(store), key)
    if as_json:
        views.print_json(facts)
    else:
        print(yaml.safe_dump(facts, sort_keys=False, width=120), end="")


@app.command()
def pretrain(
    backbone: Annotated[str, typer.Option("--backbone", help="A timm model.")] = "lcnet_050",
    samples: Annotated[int, typer.Option("--samples", min=1, help="Images seen in all.")] = 260_000,
    classes: Annotated[int, typer.Option("--classes", min=64, help="Patterns, or crops, each a class.")] = 2000,
    image_size: Annotated[int, typer.Option("--image-size", min=32, max=512)] = 64,
    data: Annotated[
        list[str] | None, typer.Option("--data", help="Folder of images to use in place of patterns; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    threads: Annotated[int, typer.Option("--threads", min=1)] = 1,
    out: Annotated[Path, typer.Option("--out", help="Folder of the weights.")] = Path("weights"),
) -> None:
    """Make pretrained weights from formula-driven patterns; use them with --set model.pretrained=PATH.

    Run it again after a stop to go on from its checkpoint.
    """
    from core.pretrain import Recipe
    from core.pretrain import pretrain as make

    recipe = Recipe(backbone=backbone, samples=samples, classes=classes, image_size=image_size, seed=seed)
    with bars(terminal.stderr()) as progress:
        card = make(recipe, out, data=data or (), threads=threads, progress=progress)
    print(yaml.safe_dump(card, sort_keys=False), end="")


@app.command()
def teacher(
    samples: Annotated[int, typer.Option("--samples", min=1, help="Documents and patterns seen in all.")] = 480_000,
    templates: Annotated[
        int, typer.Option("--templates", min=256, help="Procedural documents to learn from.")
    ] = 12_000,
    patterns: Annotated[int, typer.Option("--patterns", min=0, help="Formula-driven patterns to learn from.")] = 4000,
    real: Annotated[
        list[str] | None, typer.Option("--measure-on", help="Folder of images to measure it on as well.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1)] = 1,
    out: Annotated[Path, typer.Option("--out", help="Folder of the teacher.")] = Path("weights/teacher"),
) -> None:
    """Train the small CLIP teacher on documents and captions; use it with --set distill.teacher=PATH.

    Run it again after a stop to go on from its checkpoint.
    """
    from core.teacher_training import TeacherRecipe, train_teacher

    recipe = TeacherRecipe(samples=samples, templates=templates, patterns=patterns)
    with bars(terminal.stderr()) as progress:
        card = train_teacher(recipe, out, real=real or (), threads=threads, progress=progress)
    print(yaml.safe_dump(card, sort_keys=False), end="")


def run_cli(arguments: list[str]) -> int:
    """Run the command line; returns the exit code."""
    try:
        code = app(arguments, standalone_mode=False, prog_name="python -m ablations")
        return int(code or 0)
    except (UserError, RunFailure) as error:
        return _refuse(str(error), EXIT_USAGE if isinstance(error, UserError) else EXIT_FAILED)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away
        return EXIT_FAILED
    except typer.Exit as error:
        return int(error.exit_code)
    except typer.Abort:
        return EXIT_INTERRUPTED
    except Exception as error:
        # Usage errors of the option parser; its exception classes moved between typer versions.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        return _refuse(f"{message()} (see `--help`)", int(getattr(error, "exit_code", EXIT_USAGE)))


def _refuse(message: str, code: int) -> int:
    print(f"error: {shown(' '.join(message.split()))}", file=sys.stderr)
    return code
