"""What `status` and `run-info` print of the runs of a store: plain data first, then how it looks."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

from ablations import declarations, terminal
from ablations.store_gc import IN_USE
from ablations.written_command import written
from core import checkpoint
from core.config import RunConfig
from core.errors import UserError
from core.integrity import Examined, examine
from core.lease import Leases
from core.lease_file import Holder, file_of
from core.record import Damaged
from core.store import CHECKPOINT, Store, is_key, leases_folder

UNUSABLE = ("damaged", "newer")  # conditions of runs that are neither done nor to be taken for new


def status_facts(store: Store) -> dict[str, Any]:
    """All runs of the store by state, with reasons of failures, and with the process that has one in work."""
    runs = []
    held = {one.name: one for one in Leases(leases_folder(store.root)).holders() if is_key(one.name) and not one.gone}
    for key in sorted({*store.run_keys(), *held}):
        found = examine(store, key, digests=False)
        row: dict[str, Any] = {"key": key, "state": "unfinished" if found.condition == "new" else found.condition}
        if key in held and found.condition != "done":
            process = held[key].process
            row |= {"state": "running", "message": f"in the hands of {held[key]}{_silence(store, held[key])}"}
            row |= {"host": process.host, "pid": process.pid} if process else {}
        elif found.result is not None:
            row["tpr@1e-3"] = found.result["metrics"]["tpr@1e-3"]
        elif found.failure is not None:
            row |= {"kind": found.failure["kind"], "message": found.failure["message"]}
        elif found.reason:
            row["message"] = found.reason
        elif (kept := checkpoint.progress(store.path(key, CHECKPOINT))) is not None:
            told = "{:,} of {:,} samples when last saved".format(*kept)
            row |= {"samples": kept[0], "of": kept[1], "message": told}
        runs.append(row)
    return {"store": str(store.root), "counts": dict(Counter(row["state"] for row in runs)), "runs": runs}


def _silence(store: Store, holder: Holder) -> str:
    """Since when a holder of another machine, which cannot be looked for, has been silent, where it is long."""
    try:
        seconds = time.time() - file_of(leases_folder(store.root), holder.name, holder.generation).stat().st_mtime
    except OSError:
        return ""
    return f", without a sign of life for {terminal.clock(seconds)}" if seconds > IN_USE else ""


def print_status(console: Console, facts: dict[str, Any]) -> None:
    counts = facts["counts"]
    listed = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no runs yet"
    console.print(f"{facts['store']}: {listed}")
    for row in facts["runs"]:
        if row["state"] != "done":
            reason = f"  {row['kind']}: {row['message']}" if row["state"] == "failed" else f"  {row.get('message', '')}"
            terminal.say(console, f"  {row['key']}  {row['state']}{reason}")


def run_info_facts(store: Store, prefix: str) -> dict[str, Any]:
    """One run, whole, with the command that repeats it; a failed run with its reason."""
    key = store.find(prefix)
    found = examine(store, key, digests=True)
    if found.condition in UNUSABLE:
        raise UserError(f"{key} is {found.condition}: {found.reason}")
    facts: dict[str, Any] = {"key": key, "state": found.condition, "folder": str(store.path(key))}
    other = "again" if store.root.resolve() != Path("again").resolve() else "again-2"  # where it is not done yet
    words = [str(store.path(key, "config.yaml")), "--store", other]
    if (device := _device_of(store, key)) != "cpu":
        words += ["--device", device]
    facts["repeat"] = written("run", shlex.join(words))
    if wrong := _wrong_config(store, key, found):
        facts["config_yaml"] = wrong
    if found.result is not None:
        facts["result"] = found.result
    elif found.failure is not None:
        facts["failure"] = found.failure
    if found.result is None and (kept := checkpoint.progress(store.path(key, CHECKPOINT))) is not None:
        facts["checkpoint"] = {"samples": kept[0], "of": kept[1]}
    return facts


def _wrong_config(store: Store, key: str, found: Examined) -> str:
    """What is wrong with the configuration that the command would repeat, as far as it can be told."""
    path = store.path(key, "config.yaml")
    try:
        if found.result is not None and "config.yaml" in found.result.get("files", {}):
            store.verify(key, ("config.yaml",), digests=True)
    except Damaged as damaged:
        return f"{path} is damaged ({damaged.reason}): `run` of its study makes it again"
    except OSError as error:
        return str(error)
    return "" if path.is_file() else f"{path} is not there"


def _device_of(store: Store, key: str) -> str:
    """The device that a run was asked for; the CPU where its configuration cannot be read."""
    try:
        return declarations.read(store.path(key, "config.yaml"), RunConfig)[0].runtime.device
    except UserError:
        return "cpu"
