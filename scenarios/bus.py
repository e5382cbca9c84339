"""How the agents of a run reach one another when they are in several processes."""

from typing import Annotated

from pydantic import BeforeValidator, Field, PositiveFloat

from .strict import Strict

Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Bus(Strict):
    """A nats-server with JetStream; its address alone may stand in the place of this.

    Credentials and paths of files are named by the environment variables that hold them.
    """

    url: str = Field(
        pattern=r"^(nats|tls)://[^@\s/]+/?$",
        description="nats://host:port, or tls://host:port for a server that asks for TLS.",
        examples=["nats://127.0.0.1:4222"],
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
    patience: PositiveFloat = Field(
        default=60, description="Seconds to wait for a worker that hosts what is needed."
    )


def _addressed(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


BusAddress = Annotated[Bus, BeforeValidator(_addressed, json_schema_input_type=str | Bus)]
