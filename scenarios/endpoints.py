"""Settings of endpoints, the models they serve, limits, prices, and the bus to workers."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, cast, get_args
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    JsonValue,
    ValidationInfo,
    field_validator,
    model_validator,
)

from .document import Key, path_text


class Misplaced(ValueError):
    """A problem that a validator of a whole mapping finds with the value at `path` below it."""

    def __init__(self, path: tuple[Key, ...], problem: str) -> None:
        super().__init__(f"{path_text(path)}: {problem}")
        self.path = path
        self.problem = problem


def _holds(value: object, kind: type) -> bool:
    parts = cast("Mapping[object, object]", value).values() if isinstance(value, Mapping) else (value,)
    return any(isinstance(part, kind) for part in parts)


def _kinds(annotation: object) -> Iterator[object]:
    """The types that an annotation is made of."""
    inner = get_args(annotation)
    if not inner:
        yield annotation
    for part in inner:
        yield from _kinds(part)


class Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=False, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean_as_number(cls, value: object, info: ValidationInfo) -> object:
        if not _holds(value, bool):
            return value
        kinds = set(_kinds(cls.model_fields[info.field_name or ""].annotation))
        if kinds & {int, float} and bool not in kinds:
            raise ValueError("a number is expected, not true or false")
        return value


# Bounds far above any use: what lies beyond is a typing error, and would overflow somewhere later.
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Few = Annotated[int, Field(ge=1, le=1_000)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Tokens = Annotated[int, Field(ge=1, le=1_000_000_000_000_000)]
Seconds = Annotated[float, Field(gt=0, le=604_800)]
UsdPerMillion = Annotated[float, Field(ge=0, le=1_000_000_000)]

Share = Annotated[float, Field(ge=0, le=1)]
Confidence = Literal["auto", "verbalised", "token_probability", "agreement", "top_k", "none"]


class Limits(Strict):
    """Limits of an endpoint, for each model. Default: learned from the endpoint's answers."""

    concurrency: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=16, description="Calls in flight at most."
    )
    requests_per_minute: Count | None = Field(
        default=None, description="Calls started per minute at most.", examples=[500]
    )
    tokens_per_minute: Tokens | None = Field(
        default=None, description="Prompt plus completion tokens per minute.", examples=[200_000]
    )


class Retry(Strict):
    """Retries of a failed call."""

    attempts: Few = Field(default=6, description="HTTP calls per model call at most, the first included.")
    seconds: Seconds = Field(default=300, description="Time after which no further attempt starts.")


_HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
_HEADER_VALUE = r"^[\x20-\x7e\t]*$"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def with_environment(text: str) -> str:
    """The text with each ${NAME} replaced by the environment variable.

    Raises ValueError when one is not set.
    """

    def read(found: re.Match[str]) -> str:
        value = os.environ.get(found[1])
        if not value:
            raise ValueError(f"the environment variable {found[1]} is not set")
        return value

    return _VARIABLE.sub(read, text)


def from_environment(text: str) -> list[str]:
    """The values of the environment variables that stand as ${NAME} in the text."""
    return [os.environ.get(name, "") for name in _VARIABLE.findall(text)]


def _resolved(value: object) -> object:
    return with_environment(value) if isinstance(value, str) else value


BaseUrl = Annotated[HttpUrl, BeforeValidator(_resolved, json_schema_input_type=str)]


class BatchSettings(Strict):
    """Calls made by OpenAI's Batch API (`/files` and `/batches` under the base URL)."""

    window: str = Field(
        default="24h", min_length=1, description="Time within which the endpoint answers; OpenAI knows 24h."
    )
    gather: Seconds = Field(
        default=2, description="A batch is sent when no further call came for so many seconds."
    )
    poll: Seconds = Field(default=30, description="Seconds between two polls of a batch.")


def _batch(value: object) -> object:
    return {} if value is True else None if value is False else value


class Endpoint(Strict):
    """An OpenAI-compatible endpoint, a model this package runs itself (`local`), or what the application that
    runs the team hands over (`host`)."""

    base_url: BaseUrl | None = Field(
        default=None,
        description="Root of the API, e.g. https://api.openai.com/v1; ${NAME} is replaced by the environment "
        "variable.",
        examples=["http://localhost:8000/v1"],
    )
    local: str | None = Field(
        default=None,
        description="Run this model as a child process: smollm2-135m-instruct, or the path of a GGUF file.",
        examples=["smollm2-135m-instruct"],
    )
    host: str | None = Field(
        default=None,
        min_length=1,
        description="Answered by the application that runs the team: a name for what answers. Change it when "
        "the application changes, since finished calls are replayed under it.",
        examples=["support-agent-3"],
    )
    api_key_env: str | None = Field(
        default=None, description="Environment variable that holds the key.", examples=["OPENAI_API_KEY"]
    )
    auth_header: str = Field(
        default="Authorization",
        pattern=_HEADER_NAME,
        description="Header that carries the key; Azure wants api-key.",
        examples=["api-key"],
    )
    auth_scheme: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._~+/-]*$",
        description="Word before the key. Default: Bearer in the header Authorization, none in any other.",
        examples=["Bearer"],
    )
    headers: dict[
        Annotated[str, Field(pattern=_HEADER_NAME)], Annotated[str, Field(pattern=_HEADER_VALUE)]
    ] = Field(
        default_factory=dict,
        description="Further headers of every request; ${NAME} is replaced by the environment variable.",
        examples=[{"X-Team": "search"}],
    )
    query: dict[str, str] = Field(
        default_factory=dict,
        description="Query of every request, e.g. Azure's api-version; ${NAME} is replaced as in headers.",
        examples=[{"api-version": "2024-10-21"}],
    )
    client: Literal["aiohttp", "openai"] = Field(default="aiohttp", description="HTTP client.")
    limits: Limits = Field(default_factory=Limits, description="Its limits, for each model.")
    retry: Retry = Field(default_factory=Retry, description="Retries of failed calls.")
    timeout: Seconds = Field(default=60, description="Seconds for one HTTP call.")
    hedge: bool | None = Field(
        default=None,
        description="Send a call that takes unusually long a second time and use the first answer (at most "
        "5 % of the calls). Default: yes for a base_url, no for local and host.",
        examples=[False],
    )
    logprobs: bool | None = Field(
        default=None,
        description="`true` where it returns log-probabilities; default: tried once at the start.",
        examples=[False],
    )
    json_object: bool | None = Field(
        default=None,
        description="`true` lets the judge ask it for a JSON object (`response_format`); default: "
        "tried once at the start.",
    )
    seeded: bool | None = Field(
        default=None,
        description="Send a sampling seed with every drawn reply; default: only to a local model.",
        examples=[True],
    )
    top_logprobs: int = Field(default=20, ge=1, le=100, description="Alternatives per token to ask for.")
    batch: Annotated[
        BatchSettings | None, BeforeValidator(_batch, json_schema_input_type=bool | BatchSettings | None)
    ] = Field(
        default=None,
        description="Make the target calls of the final test (and of `tp.evaluate`) by the Batch API, for "
        "less money and within a day; a search needs its answers at once. `true`, or settings.",
        examples=[True, {"poll": 60}],
    )

    @property
    def authenticated(self) -> bool:
        """True where requests carry a key, or something that may be one: headers, a query, a user name."""
        address = str(self.base_url or "")
        return bool(self.api_key_env or self.headers or self.query) or "?" in address or "@" in address

    def at(self, folder: Path) -> Self:
        """The same endpoint, the path of a local model made absolute, starting at `folder`."""
        path = folder.absolute() / self.local if self.local is not None else None
        return self if path is None or not path.is_file() else self.model_copy(update={"local": str(path)})

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if [self.base_url, self.local, self.host].count(None) != 2:
            raise ValueError(
                "give exactly one of base_url (a server), local (a model run here) and host (the application)"
            )
        if self.batch is not None and (self.base_url is None or self.client != "aiohttp"):
            raise ValueError("batch needs a base_url, and client: aiohttp")
        return self


class Price(Strict):
    """USD per million tokens."""

    input_per_million: UsdPerMillion = Field(default=0, description="For a million prompt tokens.")
    output_per_million: UsdPerMillion = Field(default=0, description="For a million completion tokens.")
    batch: Share = Field(default=0.5, description="Share of these prices that a call in a batch costs.")

    def usd(self, prompt_tokens: float, completion_tokens: float, *, batched: bool = False) -> float:
        """The price of these tokens in US dollars, for calls of their own or in a batch."""
        usd = (prompt_tokens * self.input_per_million + completion_tokens * self.output_per_million) / 1e6
        return usd * self.batch if batched else usd


class Model(Strict):
    """An endpoint plus a model name, sampling defaults and prices."""

    endpoint: str = Field(description="Name of an entry of `endpoints`.", examples=["openai"])
    model: str = Field(description="The name the endpoint knows it by.", examples=["gpt-4.1-nano"])
    temperature: float | None = Field(
        default=None,
        ge=0,
        le=2,
        description="Sampling temperature; default: `reference.temperature` to write, 0 to answer and "
        "to judge. With confidence `agreement` answers are drawn at 0.7 in place of 0.",
        examples=[0.7],
    )
    top_p: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Nucleus sampling; default: the endpoint's own.",
        examples=[0.95],
    )
    max_tokens: Count | None = Field(
        default=None, description="Most tokens of one reply, in any role.", examples=[256]
    )
    token_limit: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        default=None,
        description="Name of the field that limits the tokens of a reply. Default: max_tokens, and the other "
        "once the endpoint refuses it.",
        examples=["max_completion_tokens"],
    )
    omit: tuple[Literal["temperature", "top_p", "seed", "logprobs", "response_format"], ...] = Field(
        default=(),
        description="Fields that are never sent to this model. Default: those that the endpoint refuses.",
        examples=[["temperature"]],
    )
    reasoning_effort: str | None = Field(
        default=None, min_length=1, description="Sent as `reasoning_effort`.", examples=["low"]
    )
    extra_body: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Further fields of every request to this model, as the endpoint documents them.",
        examples=[{"chat_template_kwargs": {"enable_thinking": False}}],
    )
    confidence: Confidence = Field(
        default="auto",
        description="Source of the confidence in its answers, in tasks that say `auto`.",
        examples=["verbalised"],
    )
    price: Price = Field(
        default_factory=Price,
        description="USD per million tokens. A model without it is left out of the estimated cost and counts "
        "as 0 USD under budget.usd.",
    )


Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


_NATS_URL = r"^(nats|tls)://[^@?#\s/]+/?$"
_NATS_URL_EXPECTED = (
    "expected nats://host:port or tls://host:port, with a port from 1 to 65535 and without credentials, ? "
    "and #; name the variables that hold credentials in user_env and password_env, token_env or "
    "credentials_env of `bus`"
)


def _nats_url(value: object) -> str:
    """The address as it is. The error does not repeat a wrong one, which may hold a password."""
    if isinstance(value, str) and re.fullmatch(_NATS_URL, value) and _has_valid_host_and_port(value):
        return value
    raise ValueError(_NATS_URL_EXPECTED)


def _has_valid_host_and_port(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        return bool(host) and parts.port != 0
    except ValueError:  # UnicodeError too: an empty or too long label of the host
        return False


class Bus(Strict):
    """A nats-server, over which workers (`tprompt worker`) make the calls of some models.

    Its address alone may be given instead.

    Credentials and paths of files are named by the environment variables that hold them.
    """

    url: Annotated[str, BeforeValidator(_nats_url)] = Field(
        pattern=_NATS_URL,
        description="nats://host:port, or tls://host:port for a server that asks for TLS.",
        examples=["nats://127.0.0.1:4222"],
    )
    models: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Names of entries of `models` that workers call; default: the targets. Entries of "
        "the same model of the same endpoint go together.",
        examples=[["small", "writer"]],
    )
    user_env: Variable | None = Field(
        default=None, description="Names the variable with the user's name.", examples=["NATS_USER"]
    )
    password_env: Variable | None = Field(
        default=None, description="Names the variable with the password.", examples=["NATS_PASSWORD"]
    )
    token_env: Variable | None = Field(
        default=None, description="Names the variable with the token.", examples=["NATS_TOKEN"]
    )
    credentials_env: Variable | None = Field(
        default=None,
        description="Names the variable with the path of a .creds file.",
        examples=["NATS_CREDS"],
    )
    ca_env: Variable | None = Field(
        default=None,
        description="Names the variable with the path of the authority's certificate.",
        examples=["NATS_CA"],
    )
    certificate_env: Variable | None = Field(
        default=None,
        description="Names the variable with the path of this client's certificate.",
        examples=["NATS_CERT"],
    )
    key_env: Variable | None = Field(
        default=None,
        description="Names the variable with the path of this client's key.",
        examples=["NATS_KEY"],
    )
    patience: Seconds = Field(
        default=60,
        description="Seconds to wait for a worker of a model, at the start and when the last one is lost.",
    )
    heartbeat: float = Field(
        default=1,
        ge=0.05,
        le=60,
        description="Seconds between a worker's signs of life for a call in flight; after five without one "
        "the worker counts as lost and the call is tried again.",
    )


def _addressed(value: object) -> object:
    if isinstance(value, str):
        return {"url": value}
    if isinstance(value, Mapping | Bus):
        return cast("object", value)
    raise ValueError(_NATS_URL_EXPECTED)


BusAddress = Annotated[Bus, BeforeValidator(_addressed, json_schema_input_type=str | Bus)]
