"""The layer that never pays twice: replays finished calls, joins equal ones, records the rest."""

from collections.abc import Awaitable, Callable

from anyio import CancelScope
from msgspec.structs import replace

from ...errors import BudgetReached, CallFailed, ContextTooLong
from .._attempts import CURRENT, Attempts
from ..chat import ChatClient, ChatRequest, ChatResponse
from ._rows import call_key
from .records import CallLedger, Flight

Admit = Callable[[ChatRequest], Awaitable[None] | None]


class LedgeredClient:
    """Answers from the ledger what it can, and records what `inner` answers before handing it on.

    Equal requests in flight at once are sent once: the others wait and count as replayed; when the one that
    sends is cancelled or fails, one of them takes over. A call known not to fit the model's context raises
    ContextTooLong again without being sent. `shared` is looked up second and written too; what it gives is
    copied, as one HTTP call, so that the run's own ledger is complete.

    `admit` is asked before a call is sent, never before a replay; it may raise BudgetReached, or return
    something to wait for. A call that failed for good in an earlier invocation then fails again as it did,
    so that a run resumed under the same budget takes the same path to the same point.

    Raises what `inner` and `admit` raise, and LedgerFailed.
    """

    def __init__(
        self,
        inner: ChatClient,
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

    async def chat(self, request: ChatRequest) -> ChatResponse:
        key = call_key(self._endpoint, request)
        flights = self._ledger.flights
        while (flight := flights.get(key)) is not None:
            response = await flight.landed()
            if response is not None:
                return response
        self._charge_earlier(key)
        found = self._ledger.find(key)
        if found is not None:
            return found
        flights[key] = flight = Flight()
        try:
            flight.response = await self._first_asked(key, request)
            return flight.response
        finally:
            del flights[key]
            flight.land()

    async def _first_asked(self, key: bytes, request: ChatRequest) -> ChatResponse:
        known = self._ledger.failure(key)
        if isinstance(known, ContextTooLong):
            raise known
        found = None if self._shared is None else self._shared.find(key)
        if found is not None:
            found = replace(found, attempts=1)
            await self._record(key, request, found, paid=False)
            return found
        await self._admitted(request, known)
        response = await self._sent(key, request)
        await self._record(key, request, response, paid=True)
        return response

    def _charge_earlier(self, key: bytes) -> None:
        """No replay brings back what was tried in vain: on the path of the run it counts where it is asked
        for again."""
        asker = CURRENT.get()
        if asker is not None:
            asker.earlier += self._ledger.earlier_attempts(key)

    async def _admitted(self, request: ChatRequest, known: CallFailed | None) -> None:
        if self._admit is None:
            return
        try:
            waiting = self._admit(request)
            if waiting is not None:
                await waiting
        except BudgetReached as reached:
            if known is None:
                raise
            raise known from reached

    async def _sent(self, key: bytes, request: ChatRequest) -> ChatResponse:
        outer = CURRENT.get()
        attempts = Attempts() if outer is None else outer
        token = CURRENT.set(attempts)
        try:
            return await self._inner.chat(request)
        except BaseException as error:
            if attempts.started:
                spent = self._ledger.put_failure(key, self._endpoint, request.model, attempts.started, error)
                if isinstance(error, Exception):
                    await spent.committed()
            raise
        finally:
            CURRENT.reset(token)

    async def _record(self, key: bytes, request: ChatRequest, response: ChatResponse, *, paid: bool) -> None:
        row = (key, self._endpoint, request.model, response)
        batches = [self._ledger.put(*row, paid=paid)]
        if paid and self._shared is not None:
            batches.append(self._shared.put(*row))
        # Until it is on disk the call must stay in flight, or an equal one would be paid again; and what was
        # paid is handed on, so that it is counted, also to a caller that is being cancelled.
        with CancelScope(shield=True):
            for batch in batches:
                await batch.committed()
