"""The bus in a scenario: an address, or a mapping that names where credentials are."""

from pathlib import Path

import pytest

from transfer_prompting.runtime.llm.relay import NatsServer
from transfer_prompting.scenarios import InputError, load
from transfer_prompting.scenarios.scenario import variants

from support.runs import scenario_data, write_scenario
from support.workers import STAGES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_scenario(tmp_path, scenario_data("http://127.0.0.1:9/v1", stages=STAGES))


def test_an_address_alone_is_a_bus(path: Path):
    bus = load(path, ["bus=nats://10.0.0.5:4222"]).bus
    assert bus is not None
    assert bus.url == "nats://10.0.0.5:4222"


def test_values_are_taken_from_the_variables_it_names(path: Path, monkeypatch: pytest.MonkeyPatch):
    bus = load(path, ["bus={url: nats://h:4222, user_env: MY_USER, password_env: MY_PASSWORD}"]).bus
    assert bus is not None
    monkeypatch.setenv("MY_USER", "me")
    monkeypatch.delenv("MY_PASSWORD", raising=False)
    with pytest.raises(InputError, match=r"bus\.password_env: .* MY_PASSWORD is not set"):
        NatsServer.of(bus)
    monkeypatch.setenv("MY_PASSWORD", "secret")
    assert NatsServer.of(bus) == NatsServer(url="nats://h:4222", user="me", password="secret")


@pytest.mark.parametrize(
    "bus",
    ["nats://me:secret@h:4222", "http://h:4222", "h:4222", "{url: nats://h, password: x}"],
)
def test_other_addresses_and_credentials_in_the_file_are_refused(path: Path, bus: str):
    with pytest.raises(InputError, match="bus"):
        load(path, [f"bus={bus}"])


def test_the_models_that_workers_call_are_entries_of_models(path: Path):
    bus = load(path, ["bus={url: nats://h:4222, models: [small, writer]}"]).bus
    assert bus is not None
    assert bus.models == ("small", "writer")
    with pytest.raises(InputError, match=r"bus\.models\[0\]: 'smal' is not an entry of models.*'small'"):
        load(path, ["bus={url: nats://h:4222, models: [smal]}"])


def test_the_runs_of_a_comparison_have_the_bus_of_their_scenario(path: Path):
    comparison = load(path, ["compare={variants: {a: {}, b: {}}}", "bus=nats://h:4222"])
    assert {str(one.scenario.bus and one.scenario.bus.url) for one in variants(comparison, path)} == {
        "nats://h:4222"
    }
