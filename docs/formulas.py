"""Formulas between dollar signs as MathML, which browsers draw without a script: a hook of mkdocs."""

import re

from latex2mathml.converter import convert

CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
DISPLAYED = re.compile(r"^\$\$\n(.+?)\n\$\$$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"\$([^$\n]+)\$")


def on_page_markdown(markdown: str, **_: object) -> str:
    """The page with its formulas converted; code stays as it is."""
    parts = CODE.split(markdown)
    return "".join(part if i % 2 else _converted(part) for i, part in enumerate(parts))


def _converted(text: str) -> str:
    text = DISPLAYED.sub(lambda found: convert(found[1], display="block"), text)
    return INLINE.sub(lambda found: convert(found[1]), text)
