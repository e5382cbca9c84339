"""Readers: from files, globs, Hugging Face sets and code to rows, one at a time and with their place."""

from .given import given
from .row import Bad, Item, Row, Shape, Values
from .sample import sample
from .source import expand, read

__all__ = ["Bad", "Item", "Row", "Shape", "Values", "expand", "given", "read", "sample"]
