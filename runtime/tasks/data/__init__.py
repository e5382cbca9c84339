"""Readers: from files, globs, Hugging Face sets and code to rows, one at a time and with their place."""

from .own import DataReader, load_reader, read_own
from .rows import Bad, ClassIndex, Item, Row, Shape, Values, given, sample
from .source import expand, read
from .text import whole

__all__ = [
    "Bad",
    "ClassIndex",
    "DataReader",
    "Item",
    "Row",
    "Shape",
    "Values",
    "expand",
    "given",
    "load_reader",
    "read",
    "read_own",
    "sample",
    "whole",
]
