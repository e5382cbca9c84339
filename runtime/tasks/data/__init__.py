"""Readers: from files, globs and Hugging Face sets to rows, one at a time and with their place."""

from .row import Bad, Item, Row, Shape, Values
from .sample import sample
from .source import expand, read

__all__ = ["Bad", "Item", "Row", "Shape", "Values", "expand", "read", "sample"]
