"""Buses over one real nats-server for all tests here."""

from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING

import pytest

from transfer_prompting.runtime.bus import EncodingBus, InProcessBus

from support.nats import NatsProcess, nats_process, needs_nats

if TYPE_CHECKING:
    from support.echo_host import Join


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Generator[NatsProcess]:
    with nats_process(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
def nats_bus(nats: NatsProcess) -> type[InProcessBus]:
    """Each bus is alone in a session of its own."""
    from transfer_prompting.runtime.bus.nats import NatsBus, NatsServer

    class Alone(NatsBus):
        def __init__(self) -> None:
            super().__init__(NatsServer(url=nats.url), beat=0.2)

    return Alone


@pytest.fixture
def join(nats: NatsProcess, request: pytest.FixtureRequest) -> "Join":
    """Makes buses of one session."""
    from transfer_prompting.runtime.bus.nats import NatsBus, NatsServer

    session = f"s{abs(hash(request.node.nodeid))}"
    return partial(NatsBus, NatsServer(url=nats.url), session=session, beat=0.2)


@pytest.fixture(params=["in process", "encoding", pytest.param("nats", marks=needs_nats)])
def make_bus(request: pytest.FixtureRequest) -> type[InProcessBus]:
    if request.param == "nats":
        return request.getfixturevalue("nats_bus")
    return {"in process": InProcessBus, "encoding": EncodingBus}[request.param]
