"""A small model in a child process, for runs with no key and no network."""

from ._one_token import OneTokenInTurn
from .serve import find_model, serve_embedded

__all__ = ["OneTokenInTurn", "find_model", "serve_embedded"]
