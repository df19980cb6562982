"""Records: JSON objects on disk that say which schema they have, and carry a checksum over their own content.

``{"schema": 2, "checksum": "<SHA-256>", ...}``. The checksum is over the canonical JSON (sorted keys, no spaces) of all
but itself, so a person may lay the file out anew, but no value of it can change unseen. This much holds in every later
schema too: that is how a record of a newer version is told from a damaged one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import json_text
from core.errors import UserError


def file_digest(path: Path, name: str = "sha256") -> str:
    """The hexadecimal digest of a file's bytes, read in pieces."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, name).hexdigest()


class Damaged(UserError):
    """A file of a store is not what was written there.

    Args:
        reason: what is wrong with it.
        remedy: what to do, as the end of the sentence.
    """

    def __init__(self, path: Path, reason: str, remedy: str = "") -> None:
        super().__init__(f"{path} is damaged ({reason}){f': {remedy}' if remedy else ''}")
        self.path, self.reason, self.remedy = path, reason, remedy

    def __reduce__(self) -> tuple[type[Damaged], tuple[Path, str, str]]:
        return (Damaged, (self.path, self.reason, self.remedy))


class Newer(UserError):
    """A record of a schema that this version does not know: it is left alone."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"{path} was written by a newer version (schema {found}, this one reads up to {known}) and is left alone: "
            "update docablate, or use another --store"
        )
        self.path, self.found, self.known = path, found, known

    def __reduce__(self) -> tuple[type[Newer], tuple[Path, int, int]]:
        return (Newer, (self.path, self.found, self.known))


def checksum_of(facts: Mapping[str, Any]) -> str:
    """The checksum of a record, which is not part of what it is over. Raises `ValueError` for nan and infinities."""
    content = {name: value for name, value in facts.items() if name != "checksum"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def seal(facts: Mapping[str, Any], schema: int) -> bytes:
    """The file of a record; a schema and a checksum that `facts` has are replaced.

    Raises:
        ValueError: nan or an infinity, which JSON cannot hold.
    """
    # What is read back is what the checksum must be of: e.g. keys that are numbers come back as text.
    plain = json.loads(json.dumps(dict(facts), allow_nan=False))
    content = {"schema": schema, **{name: value for name, value in plain.items() if name not in ("schema", "checksum")}}
    head = {"schema": schema, "checksum": checksum_of(content)}
    return json.dumps({**head, **content}, indent=1, allow_nan=False).encode()


def read(path: Path, schema: int, remedy: str = "", most: int | None = None) -> dict[str, Any]:
    """A record, verified: of `schema`, or of an older one, which the caller has to know (None is "no schema").

    Schemas before the first with a checksum come as they are; `"checksum" in` the record tells. One of more than
    `most` bytes, by default what any JSON may have, is refused.

    Raises:
        FileNotFoundError: it is not there.
        Damaged: it cannot be read, or is not what was written; the message ends with `remedy`.
        Newer: it has a schema above `schema`.
    """
    facts = _object(path, remedy, json_text.MAX_BYTES if most is None else most)
    found = facts.get("schema")
    if isinstance(found, bool) or not (found is None or isinstance(found, int)):
        raise Damaged(path, f"its schema is {str(found)[:40]!r}", remedy)
    if found is not None and found > schema:
        if _renumbered(facts, schema):
            raise Damaged(path, "its schema was changed", remedy)
        raise Newer(path, found, schema)
    if "checksum" in facts:
        if facts["checksum"] != _checksum(facts):
            raise Damaged(path, "its checksum does not match its content", remedy)
    elif found == schema:
        raise Damaged(path, "it has no checksum", remedy)
    return facts


def _object(path: Path, remedy: str, most: int) -> dict[str, Any]:
    try:
        with path.open("rb") as handle:
            data = handle.read(most + 1)
        if len(data) > most:
            raise Damaged(path, f"more than {most:,} bytes", remedy)
        if not data.strip(b"\0"):
            raise Damaged(path, "it is empty" if not data else "it holds nothing but zeros", remedy)
        value = json_text.value_of(data)
    except FileNotFoundError:
        raise
    except NotADirectoryError:
        raise FileNotFoundError(str(path)) from None
    except OSError as error:
        raise Damaged(path, error.strerror or type(error).__name__, remedy) from None
    except Damaged:
        raise
    except ValueError as error:
        raise Damaged(path, f"it is not JSON: {str(error)[:200]}", remedy) from None
    if not isinstance(value, dict):
        raise Damaged(path, "it does not hold an object", remedy)
    return value


def _checksum(facts: Mapping[str, Any]) -> str | None:
    """None for content that no writer of a record can have written."""
    try:
        return checksum_of(facts)
    except ValueError:
        return None


def _renumbered(facts: Mapping[str, Any], schema: int) -> bool:
    """Whether a record that says it is newer is one of ours with another number in its schema."""
    given = facts.get("checksum")
    return isinstance(given, str) and any(
        given == _checksum({**facts, "schema": known}) for known in range(1, schema + 1)
    )
