"""YAML declarations read with care: safe loading, limits, and errors that name file, line and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from core.errors import UserError, nearest

MAX_BYTES = 256 * 1024

Model = TypeVar("Model", bound=BaseModel)


def _fail(source: str, node: yaml.Node | None, message: str) -> UserError:
    line = f":{node.start_mark.line + 1}" if node is not None else ""
    return UserError(f"{source}{line}: {message}")


def compose(source: str, text: str) -> yaml.MappingNode:
    """The node tree of one YAML mapping; aliases, duplicate keys and oversized files are refused.

    Raises:
        UserError: with file and line.
    """
    if len(text) > MAX_BYTES:
        raise UserError(f"{source}: over {MAX_BYTES // 1024} KiB, which no declaration needs")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise UserError(f"{source}: YAML aliases are not supported; write the value out")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(f"{source}{line}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{source}: not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{source}: expected a mapping at the top, e.g. 'study: my-study'")
    _refuse_duplicates(source, node)
    return node


def _refuse_duplicates(source: str, node: yaml.Node) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise _fail(source, key, f"'{key.value}' is given twice")
            seen.add(key.value)
            _refuse_duplicates(source, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(source, item)


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


def read(path: Path, kind: type[Model]) -> tuple[Model, yaml.MappingNode]:
    """Read and validate a declaration.

    Returns:
        The model, and the node tree for later errors about the same file.

    Raises:
        UserError: the file cannot be read or holds a mistake; file, line and field are named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UserError(f"{path}: cannot be read: {reason}") from None
    root = compose(str(path), text)
    try:
        data: Any = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # e.g. a date that does not exist
        raise UserError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from None
    try:
        return kind.model_validate(data), root
    except ValidationError as error:
        raise _from_validation(str(path), root, error, kind) from None


def _from_validation(source: str, root: yaml.MappingNode, error: ValidationError, kind: type[BaseModel]) -> UserError:
    first = error.errors()[0]
    location = tuple(part for part in first["loc"] if isinstance(part, (str, int)))
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        known = list(kind.model_fields) if len(location) == 1 else []
        message = f"unknown field{nearest(str(location[-1]), known) if known else ''}"
    elif first["type"] == "missing":
        message = "this field is missing"
    field = ".".join(str(part) for part in location)
    node = find_node(root, location)
    return _fail(source, node, f"{field}: {message}" if field else message)


def mistake(path: Path, root: yaml.MappingNode, location: tuple[str | int, ...], message: str) -> UserError:
    """An error about a place in a declaration that was read before."""
    return _fail(str(path), find_node(root, location), f"{'.'.join(map(str, location))}: {message}")
