"""A small model in a child process, for runs with no key and no network."""

from .serve import find_model, serve_embedded

__all__ = ["find_model", "serve_embedded"]
