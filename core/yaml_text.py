"""YAML from outside as plain data: safe loading, limits, and errors of one line that name source and line.

What is read is less than YAML: text, whole and finite numbers, true and false, null, lists and mappings with distinct
keys. There are no aliases (few bytes could stand for gigabytes), no tags (some name Python objects) and no dates.
"""

from __future__ import annotations

import math
from typing import Any

import yaml

from core.errors import UserError, first_line

MAX_BYTES = 256 * 1024  # the longest declaration of the package has 4 KiB; the parser reads some 200 KiB a second
MAX_DEPTH = 24
MAX_NODES = 20_000
_LONGEST_NUMBER = 40  # characters: beyond 4,300 digits Python refuses to read, and pydantic much sooner
_PREFIX = "tag:yaml.org,2002:"
_PLAIN_TAGS = {None, "!", f"{_PREFIX}str", f"{_PREFIX}seq", f"{_PREFIX}map"}
_RESOLVED = {f"{_PREFIX}{name}" for name in ("bool", "int", "float", "null")}


class NotYaml(UserError):
    """A text that is not YAML, or none that is read here: it may be meant as plain text."""

    def __init__(self, where: str, reason: object) -> None:
        super().__init__(f"{where}: not valid YAML: {reason}")


class _Refused(yaml.MarkedYAMLError):
    """Valid YAML that is not read here."""


class _Strange(_Refused):
    """A part of YAML that is not read here, and by which plain text may be taken for YAML."""


class _Loader(yaml.SafeLoader):
    """Composes and constructs under the limits; stops at the first thing that is not plain data."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise _Refused(problem="YAML aliases are not supported; write the value out", problem_mark=mark)
        tag = getattr(event, "tag", None)
        if tag not in _PLAIN_TAGS:
            raise _Strange(problem=f"no tag such as {str(tag)[:60]!r} is read", problem_mark=mark)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _Refused(problem=f"over {MAX_NODES:,} values, which no declaration needs", problem_mark=mark)
        if self._depth >= MAX_DEPTH:
            raise _Strange(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _Refused(problem="a key must be plain text or a number", problem_mark=key.start_mark)
            # As written and as read: `1`, `"1"` and `0x1` may become one key further on.
            names = {key.value, str(self.construct_object(key))}
            if names & seen:
                raise _Refused(problem=f"'{key.value[:60]}' is given twice", problem_mark=key.start_mark)
            seen |= names
        return node

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        long = len(node.value) > _LONGEST_NUMBER
        if long:
            raise _Refused(problem=f"a number of {len(node.value):,} characters", problem_mark=node.start_mark)
        whole = node.tag == f"{_PREFIX}int"
        value: int | float = self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)
        if not math.isfinite(value):
            raise _Refused(problem=f"{node.value} is no finite number", problem_mark=node.start_mark)
        return value


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _RESOLVED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor(f"{_PREFIX}int", _Loader.construct_number)
_Loader.add_constructor(f"{_PREFIX}float", _Loader.construct_number)


def parse(source: str, text: str) -> tuple[Any, yaml.Node | None]:
    """The data of one YAML document, and its node tree for later errors about places in it (None for no document).

    Args:
        source: what errors name, e.g. the path of the file.

    Raises:
        UserError: with source and line; `NotYaml` where the text is none.
    """
    if len(text) > MAX_BYTES:
        raise UserError(f"{source}: over {MAX_BYTES // 1024} KiB, which no declaration needs")
    try:
        # The line is for editors, which count line feeds alone.
        loader = _Loader(text.replace("\r\n", "\n"))
        try:
            node = loader.get_single_node()
            return (None if node is None else loader.construct_document(node)), node
        finally:
            loader.dispose()
    except _Strange as error:
        raise NotYaml(f"{source}{_line(error.problem_mark)}", error.problem) from None
    except _Refused as error:
        raise UserError(f"{source}{_line(error.problem_mark)}: {error.problem}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotYaml(f"{source}{_line(mark)}", error.problem or error.context) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotYaml(f"{source}:{line}", error.reason) from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        first = first_line(error)
        raise NotYaml(source, first) from None


def _line(mark: yaml.Mark | None) -> str:
    return f":{mark.line + 1}" if mark is not None else ""
