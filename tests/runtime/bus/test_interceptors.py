"""What every bus keeps of interceptors."""

from typing import Any

import anyio
import msgspec
import pytest

from transfer_prompting.runtime.bus import InProcessBus, Interceptor, Proceed, Request, current_header
from transfer_prompting.runtime.errors import AskTimeout, BusError, CycleRefused

from support.buses import BoomError, Echo, Echoed, serving


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
