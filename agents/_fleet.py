"""The workers of a run, as the coordinator's process sees them."""

from collections.abc import Collection, Mapping
from functools import partial

import anyio
from anyio.abc import TaskGroup

from ..runtime.bus import Route
from ..runtime.bus.nats import NatsBus, NatsServer
from ..runtime.errors import EndpointError
from ..runtime.llm.chat import ChatClient
from ..runtime.llm.stack import Models, Relays, used_models
from ..runtime.messages import Answer, Enlist, Enlisted, Send
from ..runtime.tasks.load import LoadedTask
from ..scenarios import Bus, Scenario
from ._fingerprint import fingerprint
from ._switchboard import RelayedClient, Switchboard
from .coordinator.plan import hosted
from .scorer import Readings


class Fleet:
    """Lets workers join the run, routes the calls of the models they host, and misses those nobody hosts.

    Endpoints for which the host of this process brings a client of its own (`given`) are called from here.
    """

    def __init__(self, scenario: Scenario, settings: Bus, given: Collection[str]) -> None:
        self.bus = NatsBus(NatsServer.of(settings), patience=settings.patience)
        self._scenario = scenario
        self._settings = settings
        pairs = {name: self._pair(name) for name in used_models(scenario)}
        relayed = {pairs[name] for name in hosted(scenario)}
        self.relays: Relays = {
            (endpoint, model): partial(RelayedClient, self.bus, endpoint)
            for endpoint, model in sorted(relayed)
            if endpoint not in given
        }
        called_from_here = {pair[0] for pair in pairs.values() if pair not in self.relays}
        self.clients: dict[str, ChatClient] = {
            endpoint: RelayedClient(self.bus, endpoint)
            for endpoint, _ in self.relays
            if endpoint not in called_from_here
        }
        """Stand-ins for endpoints that this process need not be able to reach itself."""

    async def gather(self, loaded: Mapping[str, LoadedTask]) -> dict[str, str]:
        """Let workers join, and wait for those who can call the targets' models; returns the targets that
        cannot be called, with the reason. Raises InputError when another process leads this run."""
        await self.bus.lead(self._scenario.name, fingerprint(self._scenario, loaded))
        return await self._missing(
            {
                name: (Send.__name__, "/".join(self._pair(name)))
                for name in hosted(self._scenario)
                if self._pair(name) in self.relays
            }
        )

    async def start(
        self, tasks: TaskGroup, models: Models, readings: Readings, lost: Collection[str]
    ) -> dict[str, str]:
        """Serve the workers, and wait until they serve us; returns the targets that nobody hosts."""
        enlisted = Enlisted(tuple((task, model, reading) for (task, model), reading in readings.items()))

        async def enlist(request: Enlist) -> Enlisted:
            del request
            return enlisted

        await Switchboard(self.bus, models).start(tasks)
        await tasks.start(partial(self.bus.serve, Enlist, enlist))
        left = [name for name in hosted(self._scenario) if name not in lost]
        return await self._missing({name: (Answer.__name__, name) for name in left})

    async def _missing(self, routes: Mapping[str, Route]) -> dict[str, str]:
        patience = self._settings.patience
        with anyio.move_on_after(patience):
            for route in routes.values():
                await self.bus.hosted(route)
        missing = [name for name, route in routes.items() if not self.bus.presence.serves(route)]
        hosts = ",".join(f"target:{name}" for name in missing)
        said = (
            f"no worker hosts it on {self._settings.url} (waited {patience:g} s); start one: "
            f"tprompt worker SCENARIO --bus {self._settings.url} --host {hosts}"
        )
        if missing and len(missing) == len(hosted(self._scenario)):
            raise EndpointError(f"targets {', '.join(missing)}: {said}")
        return dict.fromkeys(missing, said)

    def _pair(self, name: str) -> tuple[str, str]:
        model = self._scenario.models[name]
        return model.endpoint, model.model
