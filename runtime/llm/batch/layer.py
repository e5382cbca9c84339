"""The layer that makes calls in batches: gathers them, sends a file of them, and waits for the answers."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy
from functools import partial
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from ....scenarios.endpoints import BatchSettings
from ...errors import CallFailed, EndpointError, RateLimited, Rejected
from .._call import Call, Deadline, Gate, Layer, within
from ..chat import ChatRequest, ChatResponse, Clock, SystemClock
from ..http.batch_api import Answer, Batch, BatchApi
from ..ledger._rows import call_key
from ._record import BatchRecord, Sent

T = TypeVar("T")

MOST_CALLS = 50_000
MOST_BYTES = 190_000_000
"""Calls and bytes of one file at most; OpenAI takes 50,000 and 200 MB."""

UNREACHABLE_SECONDS = 3600.0
"""A batch is asked about for so long while its endpoint does not answer."""

_LONGEST_WAIT = 300.0
_QUEUE_FULL = "token_limit_exceeded"


class Group:
    """Calls that go together: their lines by key while they are gathered, and their answers once `done`.

    `error` is for the calls without an answer.
    """

    def __init__(self) -> None:
        self.lines: dict[str, bytes] = {}
        self.size = 0
        self.done = anyio.Event()
        self.answers: dict[str, tuple[Answer, Batch]] = {}
        self.error: CallFailed | EndpointError | None = None

    @property
    def full(self) -> bool:
        return len(self.lines) >= MOST_CALLS or self.size >= MOST_BYTES

    def add(self, key: str, line: bytes) -> None:
        self.lines[key] = line
        self.size += len(line)


class BatchLayer(Layer):
    """Makes the calls of one model of one endpoint in batches.

    A batch is sent when no further call came for `settings.gather` seconds. What is in it is on disk before
    the batch is started, its id before it is waited for; so an invocation that is resumed waits for the same
    batch and pays nothing twice. A call that is not answered, because its batch expired or the model failed,
    raises what a direct call raises, and the layer above may make it again, in another batch. One that was
    cancelled at the endpoint is Rejected. A batch of more tokens than the endpoint keeps in its queue is made
    in halves, one after the other. EndpointError is raised where the answers of a batch cannot be had.

    A call waits for its batch until the `deadline` at most; the batch goes on at the endpoint, and the next
    invocation takes its answers. Once the gate is closed no batch is started. Nothing is cancelled at the
    endpoint: what was sent is paid.
    """

    def __init__(
        self,
        api: BatchApi,
        settings: BatchSettings,
        *,
        endpoint: str,
        record: BatchRecord,
        tasks: TaskGroup,
        gate: Gate,
        deadline: Deadline | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.waiting = 0
        self._api = api
        self._settings = settings
        self._endpoint = endpoint
        self._record = record
        self._tasks = tasks
        self._gate = gate
        self._deadline = deadline
        self._clock = clock or SystemClock()
        self._groups: dict[str, Group] = {}
        self._gathering: Group | None = None
        self._latest = 0.0

    async def send(self, call: Call) -> ChatResponse:
        await self._open()
        key = call_key(self._endpoint, call.request).hex()
        group = self._groups.get(key) or self._adopted(key) or self._gathered(key, call.request)
        self.waiting += 1
        try:
            await within(self._deadline, group.done.wait)
        finally:
            self.waiting -= 1
        del self._groups[key]
        self._record.forget(self._endpoint, key)
        return self._answered(key, call, group)

    def _answered(self, key: str, call: Call, group: Group) -> ChatResponse:
        if key not in group.answers:
            assert group.error is not None, "a group is done when each call has an answer or an error"
            raise copy(group.error)
        answer, batch = group.answers.pop(key)
        try:
            response = self._api.response(call.request, answer, batch)
        except CallFailed as error:
            call.attempts += error.attempts
            call.uncounted += error.may_be_billed
            raise
        call.attempts += 1
        call.uncounted += not response.usage.prompt_tokens
        return response

    def _gathered(self, key: str, request: ChatRequest) -> Group:
        """The group that the call joins, sent once no other comes."""
        group = self._gathering
        if group is None or group.full:
            group = self._gathering = Group()
            self._tasks.start_soon(self._gather, group)
        group.add(key, self._api.line(key, request))
        self._groups[key] = group
        self._latest = self._clock.now()
        return group

    def _adopted(self, key: str) -> Group | None:
        """The group of an earlier invocation's batch with this call, waited for from now on."""
        sent = self._record.of(self._endpoint, key)
        if sent is None:
            return None
        group = Group()
        self._groups |= dict.fromkeys(sent.keys, group)
        self._tasks.start_soon(self._follow, group, sent)
        return group

    async def _gather(self, group: Group) -> None:
        while not group.full and (wait := self._latest + self._settings.gather - self._clock.now()) > 0:
            await self._clock.sleep(wait)
        if self._gathering is group:
            self._gathering = None
        async with _ending(group):
            await self._make(group, group.lines)

    async def _follow(self, group: Group, sent: Sent) -> None:
        async with _ending(group):
            batch = sent.batch
            if batch is None:
                found = await self._patiently(partial(self._api.find, sent.file), sent.file)
                batch = found.id if found is not None else await self._started(sent.file)
            await self._collect(group, batch, sent.keys)

    async def _make(self, group: Group, lines: Mapping[str, bytes]) -> None:
        """Make a batch of these calls, and take its answers."""
        await self._open()
        file = await self._api.upload(lines.values())
        await self._record.add(Sent(self._endpoint, file, tuple(lines)))
        await self._collect(group, await self._started(file), tuple(lines))

    async def _started(self, file: str) -> str:
        """The id of the batch of a file, recorded; the batch is started once."""
        await self._open()
        self._gate.in_flight += 1
        try:
            batch = await self._create(file)
            await self._record.add(Sent(self._endpoint, file, batch=batch.id))
        finally:
            self._gate.leave()
        return batch.id

    async def _create(self, file: str) -> Batch:
        try:
            return await self._api.create(file)
        except CallFailed as error:
            if not error.retryable:
                raise
            # The answer may be lost, and the batch made.
            found = await self._patiently(partial(self._api.find, file), file)
            if found is None:
                raise
            return found

    async def _collect(self, group: Group, id: str, keys: Sequence[str]) -> None:
        """Wait until a batch has ended, and take its answers."""
        while not (batch := await self._patiently(partial(self._api.get, id), id)).ended:
            await self._clock.sleep(self._settings.poll)
        if batch.status == "failed":
            if len(group.lines) < 2 or not any(reason.code == _QUEUE_FULL for reason in batch.reasons):
                raise _failure(self._api.name, batch)
            # Too much for the endpoint's queue: one half after the other.
            for part in (keys[: len(keys) // 2], keys[len(keys) // 2 :]):
                await self._make(group, {key: group.lines[key] for key in part})
            return
        answers = await self._patiently(partial(self._api.answers, batch), id)
        for key in keys:
            group.answers[key] = (answers.get(key) or Answer(key), batch)

    async def _patiently(self, ask: Callable[[], Awaitable[T]], what: str) -> T:
        """The answer to a question about a batch, asked again while the endpoint fails.

        Raises EndpointError when it has failed for `UNREACHABLE_SECONDS`, or will never answer.
        """
        since, wait = self._clock.now(), self._settings.poll
        while True:
            try:
                return await ask()
            except CallFailed as error:
                if not error.retryable or self._clock.now() - since > UNREACHABLE_SECONDS:
                    raise EndpointError(
                        f"{self._api.name}: the answers of batch {what} cannot be fetched: {error}; run the "
                        "same command again to go on from here"
                    ) from error
                await self._clock.sleep(max(wait, error.retry_after or 0.0))
                wait = min(_LONGEST_WAIT, 2 * wait)

    async def _open(self) -> None:
        """Return while calls may be sent; wait to be cancelled once the gate is closed."""
        if self._gate.closed:
            await anyio.sleep_forever()


@asynccontextmanager
async def _ending(group: Group) -> AsyncGenerator[None]:
    """A group is done when this ends: with its answers, or with the error."""
    try:
        yield
    except (CallFailed, EndpointError) as error:
        group.error = error
    group.done.set()


def _failure(name: str, batch: Batch) -> CallFailed:
    reasons = [f"{one.message or one.code or 'no reason given'}" for one in batch.reasons[:3]]
    text = f"{name} refused batch {batch.id}: {'; '.join(reasons) or 'no reason given'}"
    queue = any(reason.code == _QUEUE_FULL for reason in batch.reasons)
    return RateLimited(text, status=429, attempts=0) if queue else Rejected(text, status=400, attempts=0)


class DirectOrBatch(Layer):
    """Makes calls that can wait in batches, and all others directly."""

    def __init__(self, direct: Layer, batches: Layer) -> None:
        self._direct = direct
        self._batches = batches

    async def send(self, call: Call) -> ChatResponse:
        return await (self._batches if call.request.can_wait else self._direct).send(call)
