"""Which fields of a run a declaration may set, and what is said of one that it may not or that is not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core.config import field_names, namesakes
from core.errors import nearest

# In a preset; in an arm the images, which decide the runs, may differ.
ELSEWHERE = {
    "seed": "seeds:",
    "eval.judged": "`tune`",
    "data.source": "--data",
    "eval.source": "--eval",
    "data.strict": "--strict",
    "runtime.device": "--device",
}
_OF_ARMS = {"runtime.device": "--device", "seed": "--seeds"}


def can_name(field: str) -> bool:
    """Whether a study can say a field: it is there, and neither the seed nor where a run happens or is judged."""
    return field in field_names() and field not in ("seed", "eval.judged") and not field.startswith("runtime.")


def arms_alone(field: str) -> bool:
    """Whether a study can say a field, and neither a preset nor `--set` can."""
    return can_name(field) and field in ("data.source", "eval.source")


def for_all(field: str) -> str:
    """What changes a field of all arms at once, the baseline among them."""
    return ELSEWHERE.get(field, "--set or a preset's `set:`")


def advice(name: str) -> str:
    """What to write in a study in place of a field that it cannot set."""
    return _advice(name, can_name, _OF_ARMS)


def advice_for_preset(name: str) -> str:
    """What to write in a preset in place of a field that it cannot set."""
    return _advice(name, lambda field: can_name(field) and field not in ELSEWHERE, ELSEWHERE)


def advice_for_set(field: str) -> str:
    """What to give in place of `--set` for a field that it cannot change; empty of one that it can, or is unknown."""
    if field not in field_names() or (can_name(field) and not arms_alone(field)):
        return ""
    return f": {(ELSEWHERE | _OF_ARMS).get(field, 'an option of the command')} says it"


def _advice(name: str, allowed: Callable[[str], bool], elsewhere: Mapping[str, str]) -> str:
    alike = sorted(namesakes(name), key=lambda field: field != name)  # itself before those of other sections
    if fit := [field for field in alike if allowed(field)]:
        return f" (did you mean '{fit[0]}'?)"
    if said := [elsewhere[field] for field in alike if field in elsewhere]:
        return f": {said[0]} says it"
    if name.startswith("runtime."):
        return ": an option of the command says it"
    return nearest(name, filter(allowed, field_names()))
