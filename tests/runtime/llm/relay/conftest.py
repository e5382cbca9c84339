"""One nats-server for all tests here."""

from collections.abc import Generator

import pytest

from support.nats import NatsProcess, nats_process


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Generator[NatsProcess]:
    with nats_process(tmp_path_factory.mktemp("nats")) as server:
        yield server
