"""Trials of models before anything is paid for: connections, keys, names, log-probabilities."""

from collections.abc import Iterable, Mapping

from ..runtime.errors import EndpointError
from ..runtime.llm.budget.usage import AgentRole
from ..runtime.llm.probes import probe_logprobs, refused, unreachable
from ..runtime.llm.stack import Models
from ..scenarios import Scenario
from .coordinator.plan import hosted
from .loading import probed
from .parts import Parts


async def lost_targets(
    scenario: Scenario, endpoints: Iterable[str], missing: Mapping[str, str], *, judges: bool
) -> dict[str, str]:
    """The target models whose endpoint, one of these, accepts no connection, or that are `missing`, with the
    reason.

    EndpointError when it is the reference LLM (or, where it `judges`, the scorer LLM), or when no target is
    left.
    """
    reasons: dict[str, str] = {}
    for name in endpoints:
        url = scenario.endpoints[name].base_url
        reason = None if url is None else await unreachable(str(url))
        if reason is not None:
            reasons[name] = reason
    roles = {"reference LLM": scenario.reference.model}
    if scenario.scorer.model is not None and judges:
        roles["scorer LLM"] = scenario.scorer.model
    unusable = {
        name: f"endpoint {model.endpoint!r}: {reasons[model.endpoint]}"
        for name, model in scenario.models.items()
        if model.endpoint in reasons
    } | dict(missing)
    for role, model in roles.items():
        if model in unusable:
            raise EndpointError(f"{role}: {unusable[model]}")
    lost = {model: unusable[model] for model in hosted(scenario) if model in unusable}
    if len(lost) == len(hosted(scenario)):
        raise EndpointError("no target can be reached: " + "; ".join(sorted(set(lost.values()))))
    return lost


async def refused_targets(
    scenario: Scenario, parts: Parts, models: Models, lost: Mapping[str, str], *, judges: bool
) -> dict[str, str]:
    """The target models that refuse the key of their endpoint, or are not known there, with its words.

    Each model of an endpoint with a key (also in headers or a query) is asked for one token before anything
    else is paid for.

    EndpointError where it is the reference LLM (or, where it `judges`, the scorer LLM), or every target.
    """
    writers: list[tuple[str, AgentRole]] = [(scenario.reference.model, "reference")]
    if judges and scenario.scorer.model is not None:
        writers.append((scenario.scorer.model, "scorer"))
    own = {*parts.targets, *parts.served, *lost}
    targets: list[tuple[str, AgentRole]] = [(name, "target") for name in hosted(scenario) if name not in own]
    given = parts.clients_for(scenario)
    found: dict[str, str] = {}
    for name, role in writers + targets:
        model = scenario.models[name]
        if not scenario.endpoints[model.endpoint].authenticated or model.endpoint in given:
            continue
        reason = await refused(models.client(name, role), model.model)
        if reason is not None and role != "target":
            raise EndpointError(f"{role} LLM {name}: {reason}")
        if reason is not None:
            found[name] = reason
    if found and len(found) + len(lost) == len(hosted(scenario)):
        raise EndpointError("no target can be used: " + "; ".join(sorted({*found.values(), *lost.values()})))
    return found


async def logprobs(
    scenario: Scenario, parts: Parts, models: Models, lost: Mapping[str, str]
) -> dict[str, bool]:
    """True for each target model that returns log-probabilities: as the scenario says, else tried once.
    Functions of the application have none; models that are lost are taken to have them."""
    return {name: name in lost or await _able(scenario, parts, name, models) for name in hosted(scenario)}


async def _able(scenario: Scenario, parts: Parts, model: str, models: Models) -> bool:
    endpoint = scenario.endpoint_of(model)
    if model in parts.targets:
        return False
    if model in parts.served or not probed(scenario, model):
        return bool(endpoint.logprobs)
    name = scenario.models[model].model
    return await probe_logprobs(models.client(model, "target"), name, endpoint.top_logprobs)
