"""A teacher's open_clip folder from elsewhere, checked before open_clip reads it.

open_clip builds what the folder's configuration says: a tower may be named by an address of a model hub, which it would
fetch, or be larger than any machine. Here it may name architectures and sizes, and nothing to be had elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core import json_text
from core.errors import RunFailure, UserError

_MOST_BYTES = 1_000_000
_TIMM_NAME = re.compile(r"[A-Za-z0-9_.]{1,128}")
_LIMITS = {"layers": 256, "vocab_size": 2_000_000}  # of a whole number by its name
_MOST = 16_384  # of any other: widths, heads, pixels, tokens


def check_config(folder: Path) -> None:
    """Refuse an `open_clip_config.json` that leads out of its folder.

    Raises:
        RunFailure: `bad_weights`, with the file and the field.
    """
    path = folder / "open_clip_config.json"
    try:
        content = json_text.read(path, _MOST_BYTES)
    except OSError as error:
        raise RunFailure("bad_weights", f"{path} cannot be read: {error.strerror or error}") from None
    except UserError as error:
        raise RunFailure("bad_weights", str(error)) from None
    model = content.get("model_cfg") if isinstance(content, dict) else None
    if not isinstance(model, dict):
        raise RunFailure("bad_weights", f"{path} has no 'model_cfg'")
    for place, value in _fields(content, ""):
        if problem := _problem(place.rsplit(".", 1)[-1], value):
            raise RunFailure("bad_weights", f"{path}: {place} {problem}")


def _fields(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every field with its value, and each item of a list under the list's name."""
    yield place, value
    if isinstance(value, dict):
        for name, inside in value.items():
            yield from _fields(inside, f"{place}.{name}" if place else name)
    elif isinstance(value, list):
        for inside in value:
            yield from _fields(inside, place)


def _problem(name: str, value: Any) -> str:
    if name == "hf_model_name":
        return "names a model of a hub, which would be fetched: use a model whose towers open_clip builds itself"
    if name == "timm_model_name" and not (isinstance(value, str) and _TIMM_NAME.fullmatch(value)):
        return "is not the plain name of a timm model"
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) > _LIMITS.get(name, _MOST):
        return f"is {value}, over {_LIMITS.get(name, _MOST):,}"
    return ""
