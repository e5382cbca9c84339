"""What every bus keeps, held over each implementation."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import msgspec
import pytest

from transfer_prompting.runtime.bus import (
    Bus,
    EncodingBus,
    Event,
    Header,
    InProcessBus,
    Interceptor,
    Proceed,
    Request,
    current_header,
    headed,
)
from transfer_prompting.runtime.errors import AskTimeout, BusError, CycleRefused, NoServer, ServerClosed

from support.nats import needs_nats


class Echoed(Event, frozen=True):
    text: str


class Noted(Event, frozen=True):
    number: int


class Echo(Request[Echoed], frozen=True):
    text: str
    key: str = ""

    @property
    def route_key(self) -> str:
        return self.key


class Relay(Request[Echoed], frozen=True):
    text: str


class BoomError(Exception):
    pass


Handler = Callable[[Echo], Awaitable[Echoed]]


async def echo(request: Echo) -> Echoed:
    return Echoed(request.text)


@pytest.fixture(params=["in process", "encoding", pytest.param("nats", marks=needs_nats)])
def make_bus(request: pytest.FixtureRequest) -> type[InProcessBus]:
    if request.param == "nats":
        return request.getfixturevalue("nats_bus")
    return {"in process": InProcessBus, "encoding": EncodingBus}[request.param]


@asynccontextmanager
async def serving(
    bus: Bus, handler: Handler = echo, *, key: str = "", workers: int = 1
) -> AsyncGenerator[anyio.CancelScope]:
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            await tasks.start(partial(bus.serve, Echo, handler, key=key, workers=workers))
            yield tasks.cancel_scope
            tasks.cancel_scope.cancel()


async def test_a_request_is_answered_by_the_server_of_its_type_and_key(make_bus: type[InProcessBus]):
    async def shout(request: Echo) -> Echoed:
        return Echoed(request.text.upper())

    async with make_bus() as bus, serving(bus), serving(bus, shout, key="loud"):
        assert await bus.ask(Echo("a")) == Echoed("a")
        assert await bus.ask(Echo("a", key="loud")) == Echoed("A")


async def test_asking_where_nobody_serves_says_so_at_once(make_bus: type[InProcessBus]):
    async with make_bus() as bus, serving(bus):
        with pytest.raises(NoServer, match="Echo for quiet"):
            await bus.ask(Echo("a", key="quiet"))


async def test_a_route_has_one_server(make_bus: type[InProcessBus]):
    async with make_bus() as bus, serving(bus):
        with pytest.raises(BusError, match="served already"):
            await bus.serve(Echo, echo)


async def test_no_more_asks_are_handled_at_once_than_there_are_workers(make_bus: type[InProcessBus]):
    working = peak = 0
    full, go_on = anyio.Event(), anyio.Event()

    async def work(request: Echo) -> Echoed:
        nonlocal working, peak
        working += 1
        peak = max(peak, working)
        if working == 3:
            full.set()
        await go_on.wait()
        working -= 1
        return Echoed(request.text)

    async with make_bus() as bus, serving(bus, work, workers=3), anyio.create_task_group() as askers:
        for i in range(30):
            askers.start_soon(bus.ask, Echo(str(i)))
        await full.wait()
        go_on.set()
    assert peak == 3


async def test_waiting_asks_are_served_first_come_first_served(make_bus: type[InProcessBus]):
    order: list[str] = []
    go_on = anyio.Event()

    async def work(request: Echo) -> Echoed:
        order.append(request.text)
        await go_on.wait()
        return Echoed(request.text)

    async with make_bus() as bus, serving(bus, work), anyio.create_task_group() as askers:
        for i in range(5):
            askers.start_soon(bus.ask, Echo(str(i)))
            await anyio.wait_all_tasks_blocked()
        go_on.set()
    assert order == ["0", "1", "2", "3", "4"]


async def test_an_error_reaches_its_asker_with_type_and_cause_and_the_server_lives_on(
    make_bus: type[InProcessBus],
):
    async def fail_on_x(request: Echo) -> Echoed:
        if request.text == "x":
            raise BoomError("x is refused") from ValueError("why")
        return Echoed(request.text)

    async with make_bus() as bus, serving(bus, fail_on_x):
        with pytest.raises(BoomError, match="x is refused") as caught:
            await bus.ask(Echo("x"))
        assert isinstance(caught.value.__cause__, ValueError)
        assert await bus.ask(Echo("y")) == Echoed("y")


async def test_a_group_of_one_error_arrives_as_that_error(make_bus: type[InProcessBus]):
    async def fail_in_a_task(request: Echo) -> Echoed:
        async def boom() -> None:
            raise BoomError(request.text)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(boom)
        return Echoed("unreachable")

    async with make_bus() as bus, serving(bus, fail_in_a_task):
        with pytest.raises(BoomError):
            await bus.ask(Echo("x"))


async def test_a_failing_ask_leaves_other_asks_alone(make_bus: type[InProcessBus]):
    async def fail_on_x(request: Echo) -> Echoed:
        await anyio.lowlevel.checkpoint()
        if request.text == "x":
            raise BoomError
        return Echoed(request.text)

    answers: list[Echoed] = []

    async def ask(bus: Bus, text: str) -> None:
        try:
            answers.append(await bus.ask(Echo(text)))
        except BoomError:
            answers.append(Echoed("failed"))

    async with make_bus() as bus, serving(bus, fail_on_x, workers=3), anyio.create_task_group() as askers:
        for text in ("a", "x", "b"):
            askers.start_soon(ask, bus, text)
    assert sorted(answer.text for answer in answers) == ["a", "b", "failed"]


async def test_a_cancelled_asker_frees_the_worker_and_cancels_its_work(make_bus: type[InProcessBus]):
    begun, ended = anyio.Event(), anyio.Event()

    async def hang_on_x(request: Echo) -> Echoed:
        if request.text == "x":
            begun.set()
            try:
                await anyio.sleep_forever()
            finally:
                ended.set()
        return Echoed(request.text)

    async with make_bus() as bus, serving(bus, hang_on_x):
        async with anyio.create_task_group() as askers:
            askers.start_soon(bus.ask, Echo("x"))
            await begun.wait()
            askers.cancel_scope.cancel()
        assert ended.is_set()
        assert await bus.ask(Echo("y")) == Echoed("y")


async def test_a_timeout_is_the_asks_own_and_cancels_the_work(make_bus: type[InProcessBus]):
    begun, ended = anyio.Event(), anyio.Event()

    async def hang(request: Echo) -> Echoed:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return Echoed(request.text)

    async with make_bus() as bus, serving(bus, hang):
        with pytest.raises(AskTimeout, match=r"Echo was not answered within 0\.1 s"):
            await bus.ask(Echo("x"), timeout=0.1)
        # Over a network that is slow today it may not have begun.
        assert ended.is_set() == begun.is_set()


async def test_a_handlers_own_timeout_error_is_not_taken_for_the_asks(make_bus: type[InProcessBus]):
    async def time_out(request: Echo) -> Echoed:
        raise TimeoutError(request.text)

    async with make_bus() as bus, serving(bus, time_out):
        with pytest.raises(TimeoutError, match="mine"):
            await bus.ask(Echo("mine"), timeout=5)


async def test_the_wait_for_a_worker_counts_towards_the_timeout(make_bus: type[InProcessBus]):
    busy, go_on = anyio.Event(), anyio.Event()

    async def work(request: Echo) -> Echoed:
        busy.set()
        await go_on.wait()
        return Echoed(request.text)

    async with make_bus() as bus, serving(bus, work), anyio.create_task_group() as askers:
        askers.start_soon(bus.ask, Echo("first"))
        await busy.wait()
        with pytest.raises(AskTimeout):
            await bus.ask(Echo("second"), timeout=0.01)
        go_on.set()


async def test_a_server_that_stops_fails_running_and_waiting_asks(make_bus: type[InProcessBus]):
    busy = anyio.Event()
    ends: list[str] = []

    async def hang(request: Echo) -> Echoed:
        busy.set()
        await anyio.sleep_forever()
        return Echoed(request.text)

    async def ask(bus: Bus) -> None:
        try:
            await bus.ask(Echo("x"))
        except ServerClosed as error:
            ends.append(str(error))

    async with make_bus() as bus, anyio.create_task_group() as askers, serving(bus, hang) as server:
        askers.start_soon(ask, bus)
        askers.start_soon(ask, bus)
        await busy.wait()
        await anyio.wait_all_tasks_blocked()
        server.cancel()
    assert ends == ["the server of Echo stopped before it answered"] * 2


async def test_a_server_has_stopped_only_when_its_handlers_have_ended(make_bus: type[InProcessBus]):
    busy = anyio.Event()
    order: list[str] = []

    async def clean_up(request: Echo) -> Echoed:
        busy.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                order.append("handler ended")
        return Echoed(request.text)

    async def ask(bus: Bus) -> None:
        with pytest.raises(ServerClosed):
            await bus.ask(Echo("x"))

    async with make_bus() as bus, anyio.create_task_group() as askers:
        async with serving(bus, clean_up):
            askers.start_soon(ask, bus)
            await busy.wait()
        order.append("server stopped")
    assert order == ["handler ended", "server stopped"]


async def test_a_stopped_route_can_be_served_again(make_bus: type[InProcessBus]):
    async with make_bus() as bus:
        async with serving(bus):
            pass
        with pytest.raises(NoServer):
            await bus.ask(Echo("a"))
        async with serving(bus):
            assert await bus.ask(Echo("a")) == Echoed("a")


async def test_cancelling_everything_at_once_is_a_cancellation_for_askers_and_no_error(
    make_bus: type[InProcessBus],
):
    errors: list[BaseException] = []

    async def keep_asking(bus: Bus) -> None:
        try:
            while True:
                await bus.ask(Echo("x"))
                await anyio.lowlevel.checkpoint()
        except BusError as error:
            errors.append(error)

    with anyio.CancelScope() as everything:
        async with make_bus() as bus, anyio.create_task_group() as tasks:
            await tasks.start(partial(bus.serve, Echo, echo))
            for _ in range(5):
                tasks.start_soon(keep_asking, bus)
            await anyio.lowlevel.checkpoint()
            everything.cancel()
    assert errors == []


async def test_an_ask_that_comes_back_to_a_waiting_route_is_refused(make_bus: type[InProcessBus]):
    async with make_bus() as bus:

        async def relay(request: Relay) -> Echoed:
            return await bus.ask(Echo(request.text))

        async def back(request: Echo) -> Echoed:
            return await bus.ask(Relay(request.text))

        async with serving(bus, back, workers=2), anyio.create_task_group() as tasks:
            await tasks.start(partial(bus.serve, Relay, relay, workers=2))
            with pytest.raises(CycleRefused, match=r"Relay -> Echo -> Relay"):
                await bus.ask(Relay("x"))
            tasks.cancel_scope.cancel()


async def test_the_chain_of_asks_follows_work_into_tasks(make_bus: type[InProcessBus]):
    async with make_bus() as bus:

        async def fan_out(request: Echo) -> Echoed:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(bus.ask, Echo(request.text))
            return Echoed(request.text)

        async with serving(bus, fan_out, workers=5):
            with pytest.raises(CycleRefused):
                await bus.ask(Echo("x"))


async def test_a_handler_may_ask_another_server(make_bus: type[InProcessBus]):
    async with make_bus() as bus:

        async def relay(request: Relay) -> Echoed:
            return await bus.ask(Echo(f"relayed {request.text}"))

        async with serving(bus), anyio.create_task_group() as tasks:
            await tasks.start(partial(bus.serve, Relay, relay))
            assert await bus.ask(Relay("x")) == Echoed("relayed x")
            tasks.cancel_scope.cancel()


async def test_observers_see_their_kinds_of_events_in_order(make_bus: type[InProcessBus]):
    async with make_bus() as bus, bus.events(Noted) as numbers, bus.events() as everything:
        for i in range(3):
            await bus.publish(Noted(i))
            await bus.publish(Echoed(str(i)))
        seen = [event async for event in _first(numbers, 3)]
        every = [event async for event in _first(everything, 6)]
    assert seen == [Noted(0), Noted(1), Noted(2)]
    assert every == [Noted(0), Echoed("0"), Noted(1), Echoed("1"), Noted(2), Echoed("2")]


async def test_an_observer_that_lags_loses_the_oldest_events_counted_and_slows_nobody(
    make_bus: type[InProcessBus],
):
    async with make_bus() as bus, bus.events(Noted, buffer=4) as slow:
        with anyio.fail_after(5):
            for i in range(10):
                await bus.publish(Noted(i))
        seen = [event async for event in _first(slow, 4)]
    assert seen == [Noted(6), Noted(7), Noted(8), Noted(9)]
    assert slow.dropped == 6


async def test_subscribers_are_called_with_every_event_before_the_bus_has_closed(
    make_bus: type[InProcessBus],
):
    plain: list[int] = []
    awaited: list[int] = []

    async def later(event: Noted) -> None:
        await anyio.lowlevel.checkpoint()
        awaited.append(event.number)

    async with make_bus() as bus:
        bus.subscribe(Noted, lambda event: plain.append(event.number))
        bus.subscribe(Noted, later)
        for i in range(5):
            await bus.publish(Noted(i))
    assert plain == awaited == [0, 1, 2, 3, 4]


async def test_a_subscriber_that_raises_ends_the_buss_scope_with_its_exception(
    make_bus: type[InProcessBus],
):
    def boom(event: Noted) -> None:
        raise BoomError(event.number)

    async def observed() -> None:
        async with make_bus() as bus:
            bus.subscribe(Noted, boom)
            await bus.publish(Noted(1))
            with anyio.fail_after(5):
                await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await observed()
    assert [type(error) for error in caught.value.exceptions] == [BoomError]


async def test_events_published_without_observers_go_nowhere(make_bus: type[InProcessBus]):
    async with make_bus() as bus:
        await bus.publish(Noted(1))
        async with bus.events() as late:
            await bus.publish(Noted(2))
            assert [event async for event in _first(late, 1)] == [Noted(2)]


async def test_a_closed_observer_gives_what_is_buffered_and_ends(make_bus: type[InProcessBus]):
    async with make_bus() as bus, bus.events(Noted) as numbers:
        await bus.publish(Noted(1))
        numbers.close()
        with anyio.fail_after(5):
            assert [event async for event in numbers] == [Noted(1)]


RUN = Header(0, run="r1", trace={"traceparent": "00-" + 32 * "a" + "-" + 16 * "b" + "-01"})


async def test_the_header_of_a_run_goes_along_with_every_ask_below_it(make_bus: type[InProcessBus]):
    seen: list[Header | None] = []

    async with make_bus() as bus:

        async def relay(request: Relay) -> Echoed:
            seen.append(current_header())
            return await bus.ask(Echo(request.text), timeout=5)

        async def note(request: Echo) -> Echoed:
            seen.append(current_header())
            return Echoed(request.text)

        async with serving(bus, note), anyio.create_task_group() as tasks:
            await tasks.start(partial(bus.serve, Relay, relay))
            with headed(RUN):
                await bus.ask(Relay("x"))
            assert current_header() is None
            tasks.cancel_scope.cancel()
    outer, inner = seen
    assert outer is not None
    assert inner is not None
    assert (outer.chain, inner.chain) == ((("Relay", ""),), (("Relay", ""), ("Echo", "")))
    assert [(header.run, header.trace) for header in (outer, inner)] == [(RUN.run, RUN.trace)] * 2
    assert outer.id != inner.id
    assert outer.deadline is None
    assert inner.deadline is not None


def test_headers_encode_and_decode_to_the_same():
    header = msgspec.structs.replace(RUN, chain=(("Echo", "a"),), deadline=1.5)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(header), type=Header) == header


async def test_an_observers_callback_runs_under_the_header_of_the_publisher(make_bus: type[InProcessBus]):
    seen: list[tuple[int, str]] = []

    def note(event: Noted) -> None:
        header = current_header()
        seen.append((event.number, "" if header is None else header.chain[-1][1]))

    async with make_bus() as bus:
        bus.subscribe(Noted, note)

        async def tell(request: Echo) -> Echoed:
            await bus.publish(Noted(1))
            return Echoed(request.text)

        async with serving(bus, tell, key="k"):
            await bus.ask(Echo("x", key="k"))
            await bus.publish(Noted(2))
    assert seen == [(1, "k"), (2, "")]


async def test_interceptors_see_requests_and_replies_the_first_outermost(make_bus: type[InProcessBus]):
    seen: list[str] = []

    def watcher(name: str) -> Interceptor:
        async def watch(request: Request[Any], proceed: Proceed) -> object:
            header = current_header()
            assert header is not None
            assert header.chain == (("Echo", ""),)
            seen.append(f"{name} sees {request}")
            reply = await proceed(request)
            seen.append(f"{name} sees {reply}")
            return reply

        return watch

    async with make_bus() as bus, serving(bus):
        bus.intercept(watcher("outer"))
        bus.intercept(watcher("inner"))
        await bus.ask(Echo("a"))
    assert seen == [
        f"outer sees {Echo('a')}",
        f"inner sees {Echo('a')}",
        f"inner sees {Echoed('a')}",
        f"outer sees {Echoed('a')}",
    ]


async def test_an_interceptor_may_replace_the_request_and_the_reply(make_bus: type[InProcessBus]):
    async def louder(request: Request[Any], proceed: Proceed) -> object:
        assert isinstance(request, Echo)
        reply = await proceed(msgspec.structs.replace(request, text=request.text.upper()))
        assert isinstance(reply, Echoed)
        return msgspec.structs.replace(reply, text=f"{reply.text}!")

    async with make_bus() as bus, serving(bus):
        bus.intercept(louder)
        assert await bus.ask(Echo("a")) == Echoed("A!")


async def test_an_interceptor_may_veto_and_then_nothing_is_handled(make_bus: type[InProcessBus]):
    handled: list[str] = []

    async def note(request: Echo) -> Echoed:
        handled.append(request.text)
        return Echoed(request.text)

    async def refuse_x(request: Request[Any], proceed: Proceed) -> object:
        if request == Echo("x"):
            raise BoomError("no x")
        return await proceed(request)

    async with make_bus() as bus, serving(bus, note):
        bus.intercept(refuse_x)
        with pytest.raises(BoomError, match="no x"):
            await bus.ask(Echo("x"))
        await bus.ask(Echo("y"))
    assert handled == ["y"]


async def test_an_interceptor_sees_errors_as_the_asker_would_and_may_try_again(
    make_bus: type[InProcessBus],
):
    tries = 0

    async def fail_first(request: Echo) -> Echoed:
        nonlocal tries
        tries += 1

        async def work() -> None:
            if tries == 1:
                raise BoomError

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
        return Echoed(request.text)

    async def again(request: Request[Any], proceed: Proceed) -> object:
        try:
            return await proceed(request)
        except BoomError:
            return await proceed(request)

    async with make_bus() as bus, serving(bus, fail_first):
        bus.intercept(again)
        assert await bus.ask(Echo("a")) == Echoed("a")
    assert tries == 2


async def test_an_interceptor_must_keep_kind_and_key(make_bus: type[InProcessBus]):
    async def astray(request: Request[Any], proceed: Proceed) -> object:
        return await proceed(msgspec.structs.replace(request, key="other"))

    async with make_bus() as bus, serving(bus), serving(bus, key="other"):
        bus.intercept(astray)
        with pytest.raises(BusError, match=r"Echo for other in the place of Echo;.*keep the kind"):
            await bus.ask(Echo("a"))


async def test_the_timeout_of_an_ask_covers_its_interceptors(make_bus: type[InProcessBus]):
    async def hang(request: Request[Any], proceed: Proceed) -> object:
        await anyio.sleep_forever()
        return await proceed(request)

    async with make_bus() as bus, serving(bus):
        bus.intercept(hang)
        with anyio.fail_after(5), pytest.raises(AskTimeout):
            await bus.ask(Echo("a"), timeout=0.01)


async def test_an_interceptor_that_asks_what_it_intercepts_is_refused_as_a_cycle(
    make_bus: type[InProcessBus],
):
    async with make_bus() as bus, serving(bus, workers=2):

        async def ask_again(request: Request[Any], proceed: Proceed) -> object:
            return await bus.ask(request)

        bus.intercept(ask_again)
        with pytest.raises(CycleRefused):
            await bus.ask(Echo("a"))


async def _first(observer: object, count: int) -> AsyncGenerator[Event]:
    assert hasattr(observer, "__aiter__")
    with anyio.fail_after(5):
        async for event in observer:  # pyright: ignore[reportGeneralTypeIssues]
            yield event
            count -= 1
            if count == 0:
                return
