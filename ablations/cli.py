"""The command line: `python -m ablations VERB`. What a user got wrong ends with one line and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable
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
    weights_cli,
)
from ablations.executors.layout import Layout
from ablations.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from ablations.options import (
    AsJson,
    Control,
    Data,
    Device,
    Eval,
    Jobs,
    PresetName,
    RetryFailed,
    Seeds,
    Sets,
    Stopped,
    StorePath,
    Strict,
)
from ablations.planner import Plan, plan
from ablations.registry import load_study, study_names
from ablations.words import refuse
from core.errors import RunFailure, UserError, shown
from core.store import Store

app = typer.Typer(
    help="Ablation studies of margin-loss embedding models, judged as claims.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip


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


def show(
    study: Annotated[str, typer.Argument(metavar="STUDY|FILE", help="A study by name, or a YAML file.")],
    as_json: AsJson = False,
) -> None:
    """One study: findings, published numbers, arms as differences, contrasts, confounds, conditions of `map`."""
    loaded = load_study(study)
    facts = views.show_facts(loaded)
    views.print_json(facts) if as_json else views.print_show(terminal.stdout(), loaded.study, facts)


def plan_(
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="STUDY...|all|FILE", help="As of `run`; not with --classes or --gpus.")
    ] = None,
    preset: PresetName = None, seeds: Seeds = None, data: Data = None, evaluation: Eval = None,
    sets: Sets = None, store: StorePath = Path(options.DEFAULT_STORE), device: Device = "cpu", strict: Strict = False,
    control: Control = True, deciding: options.Deciding = False, tuned: options.Tuned = False,
    jobs: Jobs = None, retry_failed: RetryFailed = False,
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

    With --classes or --gpus: what one run of the preset takes with so many classes or devices, in time, memory, traffic
    and price. A model is fitted to steps that are measured on this machine once; how far it is off, on steps that it
    was not fitted to, is told.
    """
    if classes is not None or gpus is not None:
        if studies:
            raise UserError("--classes and --gpus are of one run of a preset: leave the studies out")
        given = {
            "--seeds": seeds, "--data": data, "--eval": evaluation, "--strict": strict, "--no-control": not control,
            "--deciding": deciding, "--tuned": tuned, "--jobs": jobs, "--retry-failed": retry_failed,
        }  # fmt: skip
        refuse(given, "--classes and --gpus are of one run of a preset")
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
    at_once = Layout.choose(jobs, len(planned.runs), device).jobs
    facts = views.plan_facts(chosen, planned, at_once, retry_failed=retry_failed)
    views.print_json(facts) if as_json else views.print_plan(terminal.stdout(), facts, every_run=True)


def status(store: StorePath = Path(options.DEFAULT_STORE), as_json: AsJson = False) -> None:
    """Runs of a store by state, with the reasons of failures."""
    options.refuse_file(store)
    facts = store_views.status_facts(Store(store))
    views.print_json(facts) if as_json else store_views.print_status(terminal.stdout(), facts)


def run_info(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A run's key, or its first digits.")],
    store: StorePath = Path(options.DEFAULT_STORE), as_json: AsJson = False,
) -> None:  # fmt: skip
    """One run, whole, with the command that repeats it."""
    facts = store_views.run_info_facts(Store(store), key)
    if as_json:
        views.print_json(facts)
    else:
        repeat = facts.pop("repeat")
        print(yaml.safe_dump(facts, sort_keys=False, width=120), end="")
        print(f"repeat: |-\n  {shown(repeat)}")  # last, whole and unquoted: to be copied


# In the order in which a newcomer meets them, each with the line that the help shows.
_COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "list": (list_, "Studies, findings, arms, and what is done."),
    "show": (show, "One study: findings, published numbers, arms, contrasts."),
    "fields": (fields_cli.fields, "All that a study file, a preset or --set can name."),
    "plan": (plan_, "What `run` would do: new and cached runs, time, memory."),
    "run": (sweep_cli.run, "Train what is not done yet, then write the report."),
    "status": (status, "Runs of a store by state, with the reasons of failures."),
    "run-info": (run_info, "One run, whole, with the command that repeats it."),
    "report": (report_cli.report, "Write the report of what is done; or check an old one."),
    "map": (map_cli.map_, "Where does a finding hold? Its contrasts under conditions."),
    "compare": (compare_cli.compare, "Do two reports agree? Verdicts that moved, estimates that differ."),
    "repeat": (repeat_cli.repeat, "Train runs of a report again: are they equal to the bit?"),
    "tune": (tune_cli.tune, "Search learning rates and the like, equally for every arm."),
    "calibrate": (calibrate_cli.calibrate, "How often would verdicts be wrong? Simulated reports."),
    "cost": (cost_cli.cost, "Time and memory of a step of the class head, by classes."),
    "pretrain": (weights_cli.pretrain, "Make pretrained weights from formula-driven patterns."),
    "teacher": (weights_cli.teacher, "Train a small CLIP teacher on documents and captions."),
}
for _name, (_command, _about) in _COMMANDS.items():
    app.command(_name, short_help=_about)(_command)
app.add_typer(data_cli.app, name="data", short_help="Procedural documents, public image sets, checks of folders.")
app.add_typer(store_cli.app, name="store", short_help="Check, clean, export and import a store of runs.")


def run_cli(arguments: list[str]) -> int:
    """Run the command line; returns the exit code."""
    try:
        code = int(app(arguments, standalone_mode=False, prog_name="python -m ablations") or 0)
        if code == EXIT_INTERRUPTED:  # what typer makes of Ctrl-C
            print("\nstopped; nothing is half written: give the same command again", file=sys.stderr)
        return code
    except Stopped:
        return EXIT_INTERRUPTED
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
