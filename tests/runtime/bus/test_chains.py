"""What every bus keeps of asks within asks: chains, cycles and the headers that go along."""

from functools import partial

import anyio
import msgspec
import pytest

from transfer_prompting.runtime.bus import Header, InProcessBus, current_header, headed
from transfer_prompting.runtime.errors import CycleRefused

from support.buses import Echo, Echoed, Noted, Relay, serving

RUN = Header(0, run="r1", trace={"traceparent": "00-" + 32 * "a" + "-" + 16 * "b" + "-01"})


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
