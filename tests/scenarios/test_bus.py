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


@pytest.mark.parametrize(
    "bus",
    [
        "nats://me:CANARY@h:4222",
        "nats://CANARY@h:4222",
        "nats://h:4222?token=CANARY",
        "nats://h:4222#CANARY",
        "http://me:CANARY@h:4222",
        "[nats://me:CANARY@h:4222]",
        "{url: nats://me:CANARY@h:4222}",
        "{url: [nats://me:CANARY@h:4222]}",
    ],
)
def test_an_address_with_credentials_is_refused_without_repeating_it(path: Path, bus: str):
    with pytest.raises(InputError, match=r"bus.*: expected nats://host:port .*token_env") as refused:
        load(path, [f"bus={bus}"])
    assert "CANARY" not in str(refused.value)


@pytest.mark.parametrize(
    "where",
    ["127.0.0.1:99999", "127.0.0.1:²", "h:0", "h:x", "x..y:1", ".:1", f"{'a' * 64}:1", ":1", "[::1:1"],
)
def test_hosts_and_ports_that_no_server_can_have_are_refused(path: Path, where: str):
    with pytest.raises(InputError, match=r"bus\.url: expected nats://host:port"):
        load(path, [f"bus={{url: 'nats://{where}'}}"])


@pytest.mark.parametrize(
    "where", ["h", "h:1/", "127.0.0.1:65535", "[::1]:4222", "bücher.example:1", "my_nats:1"]
)
def test_names_and_ip_addresses_are_hosts(path: Path, where: str):
    bus = load(path, [f"bus={{url: 'nats://{where}'}}"]).bus
    assert bus is not None
    assert bus.url == f"nats://{where}"


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
