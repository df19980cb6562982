"""The digests that downloads had when they first came: what a file that has no published one is held to."""

from __future__ import annotations

from pathlib import Path

from core.errors import UserError
from core.store import file_digest, write_atomic


class FirstDigests:
    """`SHA256SUMS` of a folder of downloads, a line a file as `sha256sum` writes it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "SHA256SUMS"

    def of(self, name: str) -> str | None:
        """The digest that a file first had, where it is noted; raises as `note`."""
        return self._noted().get(name)

    def note(self, file: Path) -> None:
        """Hold a file to what it is now, unless it is held to something already.

        Only a file that is known to be whole is noted: a network that asks for a login answers with a page of its own,
        and what is noted is expected ever after.

        Raises:
            UserError: the file of the digests is not text.
            RunFailure, OSError: it cannot be read or written.
        """
        noted = self._noted()
        if file.name not in noted:
            noted[file.name] = file_digest(file)
            write_atomic(self.path, "".join(f"{noted[name]}  {name}\n" for name in sorted(noted)).encode())

    @property
    def origin(self) -> str:
        """Where an expected digest is from, and what to do where it is no longer right."""
        return f"noted in {self.path} at the first download: if the publisher changed the file, remove its line there"

    def _noted(self) -> dict[str, str]:
        if not self.path.is_file():
            return {}
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            raise UserError(
                f"{self.path} is not text in UTF-8: save it as that, or move it away to have the digests noted anew"
            ) from None
        pairs = [line.split("  ", 1) for line in lines if "  " in line]
        return {name: digest for digest, name in pairs}
