"""What a run and its workers must hold alike, as digests."""

import hashlib
from collections.abc import Mapping
from pathlib import PurePath

import msgspec

from ..runtime.tasks.load import LoadedTask
from ..scenarios import Scenario
from .coordinator.plan import hosted

_ENDPOINT = {"limits", "retry", "api_key_env", "timeout", "client", "local"}
"""What may differ from machine to machine, or is the coordinator's business alone."""


def fingerprint(scenario: Scenario, loaded: Mapping[str, LoadedTask]) -> dict[str, str]:
    """Digests of what hosted agents answer by: their models, the scorer, the tasks, and the rows of each.

    Paths and limits are no part of it, nor is what only the Coordinator reads (stages, budget, strategy).
    """
    parts: dict[str, object] = {"scorer": scenario.scorer.model_dump(mode="json")}
    for name in hosted(scenario):
        model = scenario.models[name]
        endpoint = scenario.endpoints[model.endpoint]
        parts[f"models.{name}"] = [
            model.model_dump(mode="json", exclude={"price"}),
            endpoint.model_dump(mode="json", exclude=_ENDPOINT),
            None if endpoint.local is None else PurePath(endpoint.local).name,
        ]
    for name, task in scenario.tasks.items():
        parts[f"tasks.{name}"] = task.model_dump(mode="json", exclude={"data", "files", "rows"})
        parts[f"the rows of {name}"] = loaded[name].splits
    return {name: _digest(part) for name, part in parts.items()}


def _digest(part: object) -> str:
    return hashlib.blake2b(msgspec.msgpack.encode(part, order="sorted"), digest_size=8).hexdigest()
