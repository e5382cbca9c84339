"""The layer that never pays twice: replays finished calls, joins equal ones, records the rest."""

from collections.abc import Awaitable, Callable

from anyio import CancelScope
from msgspec.structs import replace

from ...errors import BudgetReached, CallFailed, ContentFiltered, ContextTooLong
from .._call import Call, Layer, counted
from ..chat import ChatResponse, Unanswered
from ._rows import call_key
from .records import CallLedger, InFlight

Admit = Callable[[Call], Awaitable[None] | None]


class LedgeredClient(Layer):
    """Answers from the ledger what it can, and records what `inner` answers before handing it on.

    Equal requests in flight at once are sent once: the others wait and count as replayed; when the one that
    sends is cancelled or fails, one of them takes over. A call that is known not to fit the model's context,
    or to be refused by a content filter, fails again without being sent. `shared` is looked up second and
    written too; what it gives is copied, as one HTTP call, so that the run's own ledger is complete.

    `admit` is asked before a call is sent, never before a replay; it may raise BudgetReached, or return
    something to wait for. A call that failed for good in an earlier invocation then fails again as it did,
    so that a run resumed under the same budget takes the same path to the same point.

    Raises what `inner` and `admit` raise, and LedgerFailed.
    """

    def __init__(
        self,
        inner: Layer,
        ledger: CallLedger,
        endpoint: str,
        shared: CallLedger | None = None,
        *,
        admit: Admit | None = None,
    ) -> None:
        self._inner = inner
        self._ledger = ledger
        self._endpoint = endpoint
        self._shared = shared
        self._admit = admit

    async def send(self, call: Call) -> ChatResponse:
        key = call_key(self._endpoint, call.request)
        in_flight = self._ledger.in_flight
        while (equal := in_flight.get(key)) is not None:
            response = await equal.ended()
            if response is not None:
                return response
        # No replay brings back attempts without a response: they count on the run's path where the call is
        # made again.
        call.earlier = self._ledger.earlier_failures(key) or call.earlier
        found = self._ledger.find(key)
        if found is not None:
            return found
        in_flight[key] = own = InFlight()
        try:
            own.response = await self._first(key, call)
            return own.response
        finally:
            del in_flight[key]
            own.end()

    async def _first(self, key: bytes, call: Call) -> ChatResponse:
        known = self._ledger.failure(key)
        if isinstance(known, ContextTooLong | ContentFiltered):
            raise known
        found = None if self._shared is None else self._shared.find(key)
        if found is not None:
            found = replace(found, attempts=1)
            await self._record(key, call, found, paid=False)
            return found
        await self._admitted(call, known)
        response = await self._sent(key, call)
        await self._record(key, call, response, paid=True)
        return response

    async def _admitted(self, call: Call, known: CallFailed | None) -> None:
        if self._admit is None:
            return
        try:
            waiting = self._admit(call)
            if waiting is not None:
                await waiting
        except BudgetReached as reached:
            if known is None:
                raise
            raise known from reached

    async def _sent(self, key: bytes, call: Call) -> ChatResponse:
        try:
            response = await self._inner.send(call)
        except BaseException as error:
            if call.attempts:
                row = (key, self._endpoint, call.request.model)
                spent = Unanswered(call.attempts, call.most_uncounted())
                batch = self._ledger.put_failure(*row, spent, error)
                if isinstance(error, Exception):
                    await batch.committed()
            raise
        return counted(call, response)

    async def _record(self, key: bytes, call: Call, response: ChatResponse, *, paid: bool) -> None:
        row = (key, self._endpoint, call.request.model, response)
        batches = [self._ledger.put(*row, paid=paid)]
        if paid and self._shared is not None:
            batches.append(self._shared.put(*row))
        # Until it is on disk the call must stay in flight, or an equal one would be paid again; and what was
        # paid is handed on, so that it is counted, also to a caller that is being cancelled.
        with CancelScope(shield=True):
            for batch in batches:
                await batch.committed()
