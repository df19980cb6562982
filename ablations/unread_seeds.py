"""Seeds that a store has done of a report's arms, and that the report does not read: a verdict may change with them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ablations.options import Chosen
from ablations.planner import Place, Plan, Request, plan
from ablations.sequential import as_run
from core.store import Store

Unread = Mapping[Place, Mapping[int, str]]  # by seed the key of a run
_NAMED = 4  # arms in a note


def unread_note(chosen: Chosen) -> list[str]:
    """What is told where a report reads fewer seeds of arms that verdicts rest on than are done; mostly nothing.

    Looked for are seeds that follow those which are read, up to as many as the preset's last look has: others, such as
    those of a sweep that was repeated on its own, are another experiment. `--until-resolved` reads all that it may.
    """
    request, store = chosen.request, chosen.store
    if chosen.until_resolved or not request.preset.looks:
        return []
    series = range(min(request.seeds), min(request.seeds) + max(request.preset.looks))
    others = tuple(seed for seed in series if seed not in request.seeds)
    if not others or not store.run_keys():
        return []
    further = plan(replace(request, seeds=others, control=False, deciding=True, tuned=False), store, rates={})
    done = {run.key for run in further.runs if run.state == "done"}
    unread: dict[Place, dict[int, str]] = defaultdict(dict)
    for cell in further.cells:
        if cell.asked and cell.key in done:
            unread[cell.study, cell.arm][cell.seed] = cell.key
    if not unread:
        return []
    counts = {len(seeds) for seeds in unread.values()}
    told = f"{'up to ' if len(counts) > 1 else ''}{max(counts)} more seed{'s' if max(counts) > 1 else ''}"
    ways = " or ".join(f"`{way}`" for way in _ways(request, store, series, unread, further))
    return [
        f"{told} of {_named(unread)} {'are' if max(counts) > 1 else 'is'} done and not read, and may change a verdict: "
        f"{ways} reads {'them' if max(counts) > 1 else 'it'}"
    ]


def _ways(request: Request, store: Store, series: range, unread: Unread, further: Plan) -> list[str]:
    """The options that read them. Naming seeds is one where it leaves no other arm with runs that are not there."""
    ways = []
    read = {cell.key for cell in as_run(replace(request, seeds=tuple(series), tuned=False), store).cells}
    if all(key in read for seeds in unread.values() for key in seeds.values()):
        ways.append(f"--until-resolved --seeds {_spelled(series)}" if series[0] else "--until-resolved")
    seeds = {seed for seeds in unread.values() for seed in seeds}
    wanted = [cell for cell in further.cells if cell.asked and cell.key and cell.seed in seeds]
    if not ways or all(cell.seed in unread.get((cell.study, cell.arm), ()) for cell in wanted):
        ways.append(f"--seeds {_spelled(sorted({*request.seeds, *seeds}))}")
    return ways


def _spelled(seeds: Sequence[int]) -> str:
    """As `--seeds` takes them."""
    if list(seeds) != list(range(seeds[0], seeds[-1] + 1)):
        return ",".join(map(str, seeds))
    return f"{seeds[0]}-{seeds[-1]}" if seeds[0] else str(len(seeds))


def _named(places: Iterable[Place]) -> str:
    names = [f"{study}/{arm}" for study, arm in places]
    more = f" and {len(names) - _NAMED} more arms" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
