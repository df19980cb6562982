"""A store in which one run is written only while its lease is held."""

from __future__ import annotations

from typing import Any

from core.errors import RunFailure
from core.lease_file import Ticket
from core.store import Store


class FencedStore(Store):
    """The store as the worker of one run has it.

    Args:
        ticket: of the run's lease; None where nobody else can have it.

    Every method that writes raises `LeaseLost` once another process took the run over.
    """

    def __init__(self, root: str, ticket: Ticket | None) -> None:
        super().__init__(root)
        self._ticket = ticket

    def check_held(self) -> None:
        if self._ticket is not None:
            self._ticket.check()

    def begin(self, *args: Any, **named: Any) -> None:
        self.check_held()
        super().begin(*args, **named)

    def log(self, *args: Any, **named: Any) -> None:
        self.check_held()
        super().log(*args, **named)

    def finish(self, *args: Any, **named: Any) -> None:
        self.check_held()
        super().finish(*args, **named)

    def fail(self, *args: Any, **named: Any) -> bool:
        try:
            self.check_held()
        except RunFailure:  # the store cannot be written
            return False
        return super().fail(*args, **named)
