"""Rows that are committed together."""

import anyio

from ...errors import TransferPromptingError
from .rows import CallRow, FailureRow


class LedgerFailed(TransferPromptingError):
    """The call ledger cannot be written (a full disk, a lost volume); the run ends, what is in it is safe."""


class Batch:
    """Rows on their way to the disk, and the tasks that wait for them."""

    __slots__ = ("_done", "_error", "calls", "failures")

    def __init__(self) -> None:
        self.calls: list[CallRow] = []
        self.failures: list[FailureRow] = []
        self._done = anyio.Event()
        self._error: str | None = None

    def __len__(self) -> int:
        return len(self.calls) + len(self.failures)

    async def committed(self) -> None:
        """Return once the rows are on disk. Raises LedgerFailed when they cannot be written."""
        if not self._done.is_set():
            await self._done.wait()
        if self._error is not None:
            raise LedgerFailed(self._error)

    def finish(self, error: str | None = None) -> None:
        """Release every waiting task at once, with success or with `error`."""
        self._error = error
        self._done.set()
