"""A small model in a child process, for runs with no key and no network."""

from .model import find_model
from .serve import serve_embedded

__all__ = ["find_model", "serve_embedded"]
