"""`store`: check that a store is as it was written, remove what it no longer needs, take runs elsewhere and back."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ablations import options, terminal
from ablations.exit_codes import EXIT_FAILED
from ablations.options import AsJson, Control, Data, Eval, PresetName, Seeds, Sets, StorePath, Strict
from ablations.planner import plan
from ablations.store_check import Checked, check_store
from ablations.store_export import export_store
from ablations.store_gc import IN_USE, Found, file_system_now, find_garbage, remove
from ablations.store_import import import_store
from ablations.tuning_store import choice_files
from ablations.views import print_json
from ablations.words import refuse
from core.errors import UserError
from core.store import Store

app = typer.Typer(
    help="Runs as files: check them, remove what is not needed, take them to another machine.",
    no_args_is_help=True, rich_markup_mode=None,
)  # fmt: skip

_SHOWN = 20  # paths of one reason that `gc` prints


@app.command()
def check(store: StorePath = Path(options.DEFAULT_STORE), as_json: AsJson = False) -> None:
    """Verify every file of a store.

    Runs, searches and timings are held to their checksums; ends with code 1 where one is damaged, of a newer version or
    cannot be read. Nothing is written: what is damaged is set aside and made again by the verb that made it, which is
    `run`, `tune`, `cost` or `plan`.
    """
    with terminal.bars(terminal.stderr()) as progress:
        found = check_store(Store(store), progress)
    print_json({"store": str(store), **asdict(found)}) if as_json else _print_check(store, found)
    if found.problems:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def gc(
    store: StorePath = Path(options.DEFAULT_STORE),
    apply: Annotated[bool, typer.Option("--apply", help="Remove it. Without this, only say what would go.")] = False,
    other_code: Annotated[
        bool, typer.Option("--other-code", help="Also runs that are done, made by another version of this code.")
    ] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Also failed runs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what can go, and with --apply remove it.

    That is: temporary files left behind, runs that were set aside as damaged, unfinished runs without a checkpoint,
    checkpoints of runs that are done. What was written within the last hour stays: somebody may be at work on it.
    """
    opened = Store(store)
    found = find_garbage(opened, other_code=other_code, failed=failed, now=file_system_now(opened) if apply else None)
    if apply:
        found = remove(opened, found)
    facts: dict[str, Any] = {
        "store": str(store), "applied": apply, "in_use": found.in_use,
        "bytes": sum(one.size for one in found.garbage),
        "garbage": [{"path": str(one.path), "reason": one.reason, "bytes": one.size} for one in found.garbage],
    }  # fmt: skip
    print_json(facts) if as_json else _print_garbage(found, apply)


@app.command("export")
def export_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The archive to write: a .tar.gz.")],
    studies: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STUDY...|all]", help="Runs of these alone, as of `run`. Default: all of the store."),
    ] = None,
    keys: Annotated[
        list[str] | None, typer.Option("--key", metavar="KEY", help="One run, by its first digits; may be repeated.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Failures, too.")] = False,
    preset: PresetName = None, seeds: Seeds = None, data: Data = None, evaluation: Eval = None,
    sets: Sets = None, store: StorePath = Path(options.DEFAULT_STORE), strict: Strict = False,
    control: Control = True, tuned: options.Tuned = False, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Write runs to an archive.

    It holds runs that are done, with checksums, and `store import` takes them up elsewhere. Searches of `tune` and the
    timing of `cost` go with them. Equal runs give equal bytes. Ends with code 1 where something that was asked for is
    left out: it is damaged or cannot be read, or is a --key that is not done.
    """
    opened = Store(store)
    if not store.is_dir():
        raise UserError(f"--store: '{store}' is not a folder")
    searches = choice_files(store)
    if studies and keys:
        raise UserError("--key: name studies or keys, not both")
    if not studies:
        given = {
            "--preset": preset, "--seeds": seeds, "--data": data, "--eval": evaluation, "--set": sets,
            "--strict": strict, "--no-control": not control, "--tuned": tuned,
        }  # fmt: skip
        refuse(given, "settings choose among the runs of studies, and no study is named")
    if studies:
        chosen = options.choose(
            studies, preset, store, seeds=seeds, data=data, evaluation=evaluation, sets=sets, strict=strict,
            control=control, tuned=tuned,
        )  # fmt: skip
        wanted = sorted(run.key for run in plan(chosen.request, opened).runs)
        names = {study.study for study in chosen.request.studies}
        searches = [path for path in searches if path.stem.rpartition("-")[0] in names]
    elif keys:
        wanted, searches = sorted({opened.find(prefix) for prefix in keys}), []
    else:
        wanted = opened.run_keys()
    with terminal.bars(terminal.stderr()) as progress:
        told = export_store(opened, file, wanted, searches, failed=failed, named=bool(keys), progress=progress)
    not_chosen = sum(opened.state(key) == "done" for key in set(opened.run_keys()) - set(wanted))
    if as_json:
        print_json({"file": str(file), **asdict(told), "not_chosen": not_chosen})
    else:
        more = f", {told.failed} failed ones" if told.failed else ""
        others = f", {told.others} other files" if told.others else ""
        _say(f"{told.runs} runs{more}{others} in {file}, {told.size / 1e6:,.2f} MB")
        if not_chosen:
            _say(f"{not_chosen} runs of the store that are done were not asked for (other studies, seeds, data or "
                 "settings, trials): without studies and --key all go in")  # fmt: skip
        for line in told.left_out:
            _say(f"left out: {line}")
    if told.left_out:
        raise typer.Exit(EXIT_FAILED)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An archive that `store export` has written.")],
    store: StorePath = Path(options.DEFAULT_STORE), as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take up runs from an archive.

    All of it is verified before anything is put in place. What the store has already stays, also what is unfinished or
    in work; but what is damaged there is set aside and comes from the archive.
    """
    opened, there = Store(store), store.exists()
    opened.check_writable()
    try:
        with terminal.bars(terminal.stderr()) as progress:
            told = import_store(opened, file, progress)
    except BaseException:
        if not there:
            with suppress(OSError):  # not empty: others are at work there
                store.rmdir()
        raise
    if as_json:
        print_json({"file": str(file), "store": str(store), **asdict(told)})
        return
    _say(f"{len(told.runs)} runs imported into {store}, {len(told.kept)} were there already")
    for name in told.others:
        _say(f"imported: {name}")
    for line in told.notes:
        _say(line)
    for key in told.differing:
        _say(f"{key} has other metrics here than in the archive: made by other code, or on another machine")


def _say(text: str) -> None:
    terminal.say(terminal.stdout(), text)


def _print_check(store: Path, found: Checked) -> None:
    runs = found.runs
    told = ", ".join(f"{count} {state}" for state, count in runs.items() if count) or "no runs"
    _say(f"{store}: {told}; {found.others} other files")
    for count, what in (
        (found.old_schema, "of the runs done are of an older schema, without a checksum: their scores were read"),
        (found.other_code, "of the runs done were made by other code than this"),
        (found.set_aside, "were set aside as damaged (`store gc` removes them)"),
        (found.temporary, "temporary files were left behind (`store gc` removes them)"),
    ):  # fmt: skip
        if count:
            _say(f"{count} {what}")
    if not found.problems:
        _say("all files are as they were written")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("problem", "what", "what to do"):
        table.add_column(column, overflow="fold")
    for one in found.problems:
        table.add_row(one.kind, one.reason, one.remedy)
    terminal.stdout().print(table)
    _say(f"{len(found.problems)} problems")


def _print_garbage(found: Found, applied: bool) -> None:
    sizes = Counter[str]()
    for one in found.garbage:
        sizes[one.reason] += one.size
    for reason, size in sizes.items():
        paths = [one.path for one in found.garbage if one.reason == reason]
        _say(f"{reason}: {len(paths)}, {size / 1e6:,.1f} MB")
        for path in paths[:_SHOWN]:
            _say(f"  {path}")
        if len(paths) > _SHOWN:
            _say(f"  and {len(paths) - _SHOWN} more (--json lists all)")
    if found.in_use:
        _say(f"{found.in_use} entries stay: they were written within the last {IN_USE / 3600:.0f} hour, by a process "
             "that may be at work")  # fmt: skip
    total = f"{sum(sizes.values()) / 1e6:,.1f} MB"
    if not found.garbage:
        _say("nothing to remove")
    else:
        _say(f"{total} removed" if applied else f"{total} can go; nothing was removed: `--apply` does it")
