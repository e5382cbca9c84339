"""What every bus keeps of events: who sees them, in order, and what lagging and closing come to."""

import anyio
import pytest

from transfer_prompting.runtime.bus import InProcessBus

from support.buses import BoomError, Echoed, Noted, first


async def test_observers_see_their_kinds_of_events_in_order(make_bus: type[InProcessBus]):
    async with make_bus() as bus, bus.events(Noted) as numbers, bus.events() as everything:
        for i in range(3):
            await bus.publish(Noted(i))
            await bus.publish(Echoed(str(i)))
        seen = [event async for event in first(numbers, 3)]
        every = [event async for event in first(everything, 6)]
    assert seen == [Noted(0), Noted(1), Noted(2)]
    assert every == [Noted(0), Echoed("0"), Noted(1), Echoed("1"), Noted(2), Echoed("2")]


async def test_an_observer_that_lags_loses_the_oldest_events_counted_and_slows_nobody(
    make_bus: type[InProcessBus],
):
    async with make_bus() as bus, bus.events(Noted, buffer=4) as slow:
        with anyio.fail_after(5):
            for i in range(10):
                await bus.publish(Noted(i))
        seen = [event async for event in first(slow, 4)]
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


async def test_a_subscriber_that_raises_is_logged_and_dropped_and_the_others_go_on(
    make_bus: type[InProcessBus], caplog: pytest.LogCaptureFixture
):
    called: list[int] = []
    seen: list[int] = []

    def boom(event: Noted) -> None:
        called.append(event.number)
        raise BoomError(event.number)

    async with make_bus() as bus:
        bus.subscribe(Noted, boom)
        bus.subscribe(Noted, lambda event: seen.append(event.number))
        for number in range(3):
            await bus.publish(Noted(number))
    assert called == [0]
    assert seen == [0, 1, 2]
    (record,) = caplog.records
    assert record.name == "transfer_prompting"
    assert "boom" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is BoomError


async def test_events_published_without_observers_go_nowhere(make_bus: type[InProcessBus]):
    async with make_bus() as bus:
        await bus.publish(Noted(1))
        async with bus.events() as late:
            await bus.publish(Noted(2))
            assert [event async for event in first(late, 1)] == [Noted(2)]


async def test_a_closed_observer_gives_what_is_buffered_and_ends(make_bus: type[InProcessBus]):
    async with make_bus() as bus, bus.events(Noted) as numbers:
        await bus.publish(Noted(1))
        numbers.close()
        with anyio.fail_after(5):
            assert [event async for event in numbers] == [Noted(1)]
