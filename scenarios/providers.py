"""Models as a few words say them: `openai:gpt-4.1-nano`, or one mapping with the keys of both sections."""

import os
from collections.abc import Mapping

import msgspec

from .endpoints import Endpoint, Model
from .errors import InputError, nearest

PROVIDERS: Mapping[str, Mapping[str, object]] = {
    "openai": {"base_url": "https://api.openai.com/v1", "api_key_env": "OPENAI_API_KEY"},
    "anthropic": {
        "base_url": "https://api.anthropic.com/v1",
        "api_key_env": "ANTHROPIC_API_KEY",
        "logprobs": False,
        "json_object": False,
    },
    "gemini": {
        "base_url": "https://generativelanguage.googleapis.com/v1beta/openai",
        "api_key_env": "GEMINI_API_KEY",
        "logprobs": False,
    },
    "mistral": {
        "base_url": "https://api.mistral.ai/v1",
        "api_key_env": "MISTRAL_API_KEY",
        "logprobs": False,
        "seeded": False,
    },
    "openrouter": {"base_url": "https://openrouter.ai/api/v1", "api_key_env": "OPENROUTER_API_KEY"},
    "dashscope": {
        "base_url": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "api_key_env": "DASHSCOPE_API_KEY",
    },
    "vllm": {"base_url": "http://localhost:8000/v1", "limits": {"concurrency": 256}},
    "ollama": {"base_url": "http://localhost:11434/v1", "limits": {"concurrency": 4}},
}
"""By the name before the colon: the settings of the endpoint, as `docs/endpoints.md` lists them."""

ADDRESSES: Mapping[str, str] = {"openai": "OPENAI_BASE_URL"}
"""Environment variables that hold another address of a provider, as its own SDK reads them."""

LOCAL = "local"
"""Name before the colon of a model that is run here, as `local:smollm2-135m-instruct`."""

_MODEL_KEYS = frozenset(Model.model_fields) - {"endpoint"}
_ENDPOINT_KEYS = frozenset(Endpoint.model_fields)


class ModelSections(msgspec.Struct, frozen=True):
    """An entry of `endpoints` and one of `models` (without its `endpoint`)."""

    endpoint: Mapping[str, object]
    model: Mapping[str, object]


def model_sections(spec: str | Mapping[str, object]) -> ModelSections:
    """The sections of a scenario for `PROVIDER:MODEL`, or for one mapping with the keys of an endpoint and of
    a model together, of which `provider` may stand for the endpoint's.

    Raises InputError for another provider, for an unknown key, and where there is no `model`.
    """
    if isinstance(spec, str):
        provider, colon, name = spec.partition(":")
        if not colon or not name:
            raise InputError(f"model {spec!r}: expected PROVIDER:MODEL, e.g. openai:gpt-4.1-nano")
        spec = {"provider": provider, "model": name}
    given = dict(spec)
    provider = given.pop("provider", None)
    known = _ENDPOINT_KEYS | _MODEL_KEYS
    if unknown := [key for key in given if key not in known]:
        raise InputError(f"model: unknown key {unknown[0]!r}; {nearest(unknown[0], [*known, 'provider'])}")
    if not given.get("model"):
        raise InputError("model: the key `model` is missing: the name by which the endpoint knows it")
    endpoint = {key: value for key, value in given.items() if key in _ENDPOINT_KEYS}
    if provider is not None:
        endpoint = {**_endpoint_of(str(provider), str(given["model"])), **endpoint}
    return ModelSections(endpoint, {key: value for key, value in given.items() if key in _MODEL_KEYS})


def _endpoint_of(provider: str, model: str) -> Mapping[str, object]:
    if provider == LOCAL:
        return {"local": model}
    if provider not in PROVIDERS:
        hint = nearest(provider, [*PROVIDERS, LOCAL])
        raise InputError(
            f"model: {provider!r} is no known provider; {hint}, or give a mapping with base_url and model"
        )
    moved = os.environ.get(ADDRESSES.get(provider, ""))
    return {**PROVIDERS[provider], "base_url": moved} if moved else PROVIDERS[provider]
