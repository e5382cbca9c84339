"""Which endpoints answer and what they can do, found out before a run begins."""

from collections.abc import Iterable, Mapping

from ..runtime.errors import EndpointError
from ..runtime.llm.preflight import unreachable
from ..runtime.llm.stack import Models, probe_logprobs
from ..scenarios import Scenario
from .parts import Parts
from .plan import hosted
from .readings import probed


async def lost_targets(scenario: Scenario, endpoints: Iterable[str], *, judges: bool) -> dict[str, str]:
    """The target models whose endpoint, one of these, accepts no connection, with the reason.

    EndpointError when it is the reference LLM's (or, where it `judges`, the scorer LLM's), or when no target
    is left.
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
    for role, model in roles.items():
        endpoint = scenario.models[model].endpoint
        if endpoint in reasons:
            raise EndpointError(f"endpoint {endpoint!r} of the {role}: {reasons[endpoint]}")
    lost = {
        model: f"endpoint {endpoint!r}: {reasons[endpoint]}"
        for model in hosted(scenario)
        if (endpoint := scenario.models[model].endpoint) in reasons
    }
    if len(lost) == len(hosted(scenario)):
        raise EndpointError("no target can be reached: " + "; ".join(sorted(set(lost.values()))))
    return lost


async def logprobs(
    scenario: Scenario, parts: Parts, models: Models, lost: Mapping[str, str]
) -> dict[str, bool]:
    """Whether each target model returns log-probabilities: as the scenario says, else tried once. Functions
    of the application have none; models that are lost are taken to have them."""
    return {name: name in lost or await _able(scenario, parts, name, models) for name in hosted(scenario)}


async def _able(scenario: Scenario, parts: Parts, model: str, models: Models) -> bool:
    endpoint = scenario.endpoint_of(model)
    if model in parts.targets:
        return False
    if model in parts.served or not probed(scenario, model):
        return bool(endpoint.logprobs)
    name = scenario.models[model].model
    return await probe_logprobs(models.client(model, "target"), name, endpoint.top_logprobs)
