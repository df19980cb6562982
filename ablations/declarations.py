"""YAML declarations as validated models; a mistake is told with file, line and field."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from ablations import settable
from core import yaml_text
from core.errors import UserError, did_you_mean, nearest
from reports.claims import NAME

# What a file declares, by its first field, and where it is given.
_TAKEN_AS = {"study": "a study: give it where studies are named", "preset": "a preset: give it with --preset"}
# In words of YAML, where pydantic's are Python's.
_EXPECTED = {
    "model_type": "expected a mapping, if only {}",
    "dict_type": "expected a mapping",
    "tuple_type": "expected a list",
}
Model = TypeVar("Model", bound=BaseModel)


def _fail(source: str, node: yaml.Node | None, message: str) -> UserError:
    line = f":{node.start_mark.line + 1}" if node is not None else ""
    return UserError(f"{source}{line}: {message}")


def parse(source: str, text: str) -> tuple[Any, yaml.MappingNode]:
    """The data and the node tree of one YAML mapping.

    Raises:
        UserError: with file and line.
    """
    data, node = yaml_text.parse(source, text)
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{source}: expected a mapping at the top, lines of 'field: value'")
    return data, node


def is_file(name: str) -> bool:
    """Whether a word means a declaration's file, and not one of the package by its name."""
    return name.endswith((".yaml", ".yml")) or "/" in name


def absent(what: str, name: str) -> UserError:
    """That a declaration's file is not there."""
    return UserError(f"{what} file '{name}' {'is a folder' if os.path.isdir(name) else 'does not exist'}")


def text_of(path: Path) -> str:
    """The text of a declaration's file; `UserError` where it cannot be read as such."""
    try:
        with path.open("rb") as handle:
            content = handle.read(yaml_text.MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(content) > yaml_text.MAX_BYTES:
        raise UserError(f"{path}: over {yaml_text.MAX_BYTES // 1024} KiB, which no declaration needs")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: cannot be read: not UTF-8 text") from None


def find_node(node: yaml.Node, path: tuple[str | int, ...]) -> yaml.Node:
    """The deepest node on the way along `path` (mapping keys and list positions)."""
    for part in path:
        child: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            child = next((value for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            child = node.value[part]
        if child is None:
            return node
        node = child
    return node


def read(
    path: Path, kind: type[Model], complete: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
) -> tuple[Model, yaml.MappingNode]:
    """Read and validate a declaration.

    Args:
        complete: adds to what the file says what it leaves to others, before all of it is validated.

    Returns:
        The model, and the node tree for later errors about the same file.

    Raises:
        UserError: the file cannot be read or holds a mistake; file, line and field are named.
    """
    data, root = parse(str(path), text_of(path))
    own = next(iter(kind.model_fields))
    if own not in data and (other := next((name for name in _TAKEN_AS if name in data), None)):
        raise UserError(f"{path}: this is {_TAKEN_AS[other]}")
    try:
        return kind.model_validate(complete(data) if complete else data), root
    except ValidationError as error:
        raise _from_validation(str(path), root, error, kind) from None


def _from_validation(source: str, root: yaml.MappingNode, error: ValidationError, kind: type[BaseModel]) -> UserError:
    first = _misspelt(error.errors())
    location = tuple(part for part in first["loc"] if isinstance(part, (str, int)))
    location += getattr(first.get("ctx", {}).get("error"), "place", ())
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = f"unknown field{_instead(kind, location, first['input'])}"
    elif first["type"] == "missing":
        message = "this field is missing"
    elif location[-1:] == ("[key]",) and not isinstance(first["input"], str):
        location, message = location[:-2], f"YAML takes the name {first['input']} for no text: quote it"
    else:
        location = location[: -(location[-1:] == ("[key]",)) or None]
        message = _EXPECTED.get(first["type"]) or _told_of(first, message)
    field = ".".join(str(part) for part in location)
    node = find_node(root, location)
    return _fail(source, node, f"{field}: {message}" if field else message)


def _misspelt(errors: Sequence[Any]) -> Any:
    """The first error; where a field is missing, the unknown one beside it that is likely to be that field."""
    first = errors[0]
    if first["type"] == "missing":
        *parent, name = first["loc"]
        for other in errors:
            beside = other["type"] == "extra_forbidden" and list(other["loc"][:-1]) == parent
            if beside and get_close_matches(str(other["loc"][-1]), [str(name)], n=1):
                return other
    return first


def _told_of(error: Any, message: str) -> str:
    """A value that a field does not take, with what came in."""
    given = error["input"]
    if error["type"] == "string_type" and isinstance(given, (bool, int, float)):
        return f"YAML takes {given} for no text: quote it"
    if error["type"] == "string_pattern_mismatch" and error["ctx"]["pattern"] == NAME:
        message = "expected lower-case letters, digits and hyphens"
    message = message[:1].lower() + message[1:]
    if error["type"] == "value_error" or not isinstance(given, (bool, int, float, str)):
        return message  # ours say what came in
    known = re.findall(r"'([^']+)'", message) if error["type"] == "literal_error" else []
    return f"{message}, got '{given}'{did_you_mean(str(given), known)}"


def _instead(kind: type[BaseModel], location: tuple[str | int, ...], value: Any) -> str:
    """What may have been meant by a field that is unknown: a name beside it, or of an arm one of a run's fields."""
    name, known = str(location[-1]), _fields_at(kind, location[:-1])
    if location[0] != "arms" or get_close_matches(name, known, n=1):
        return nearest(name, known) if known else ""
    return dotted(name, value) or settable.advice(name)


def dotted(name: str, value: Any) -> str:
    """How a field is written that was given as a mapping of its section; empty for others."""
    if isinstance(value, dict) and (inside := next(iter(value), None)) and settable.can_name(f"{name}.{inside}"):
        return f": write {name}.{inside}: {value[inside]}"
    return ""


def _fields_at(kind: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """The fields of the model at a place below one of `kind`; none where no model is there."""
    model: type[BaseModel] | None = kind
    items = False  # whether the next part of the place names an item of a list or a mapping
    for part in location:
        if not items and model is not None:
            field = model.model_fields.get(str(part))
            model, items = (None, False) if field is None else _model_of(field.annotation)
        else:
            items = False
    return [] if model is None or items else list(model.model_fields)


def _model_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model that a field holds, and whether it holds many."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    found = (_model_of(one)[0] for one in get_args(annotation))
    return next((one for one in found if one), None), get_origin(annotation) in (tuple, list, dict)


def mistake(path: Path, root: yaml.MappingNode, location: tuple[str | int, ...], message: str) -> UserError:
    """An error about a place in a declaration that was read before."""
    return _fail(str(path), find_node(root, location), f"{'.'.join(map(str, location))}: {message}")
