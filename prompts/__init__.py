"""The templates the agents speak with: one Markdown file each, `{{name}}` where a value goes."""

import re
from functools import cache
from importlib.resources import files

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_PARAGRAPH = re.compile(r"(?:\n\n[^\n]*:)?\n\n\{\{(\w+)\}\}(?=\n\n|\Z)")
_TURN = re.compile(r"^## (system|user|assistant)\n", re.MULTILINE)


@cache
def template(name: str) -> str:
    """The text of `NAME.md` in this folder, without surrounding space; KeyError when there is none."""
    path = files(__name__).joinpath(f"{name}.md")
    if not path.is_file():
        raise KeyError(f"no template named {name!r}; there are {', '.join(templates())}")
    return path.read_text(encoding="utf-8").strip()


def templates() -> list[str]:
    """Names of all templates, sorted."""
    return sorted(p.name.removesuffix(".md") for p in files(__name__).iterdir() if p.name.endswith(".md"))


@cache
def placeholders(name: str) -> frozenset[str]:
    """The names a template has a place for."""
    return frozenset(_PLACEHOLDER.findall(template(name)))


def turns(name: str, **values: str) -> list[tuple[str, str]]:
    """A template of several chat turns, each under a line `## system`, `## user` or `## assistant`.

    Returns (role, text) pairs. Values are filled in per turn, so no value can add a turn.
    """
    parts = _TURN.split(template(name))[1:]
    wanted = placeholders(name)
    if wanted != values.keys():
        raise KeyError(f"template {name!r} takes {sorted(wanted)}, was given {sorted(values)}")
    return [
        (role, _PLACEHOLDER.sub(lambda match: values[match[1]], text.strip()))
        for role, text in zip(parts[::2], parts[1::2], strict=True)
    ]


def render(name: str, **values: str) -> str:
    """The template with every placeholder replaced, once: values are never searched for placeholders.

    KeyError when a placeholder has no value or a value has no placeholder. A paragraph that is one
    placeholder disappears when its value is empty, and with it the line that announces it with a colon.
    """
    text = template(name)
    wanted = placeholders(name)
    if wanted != values.keys():
        raise KeyError(f"template {name!r} takes {sorted(wanted)}, was given {sorted(values)}")
    if not all(values.values()):
        text = _PARAGRAPH.sub(lambda match: match[0] if values[match[1]] else "", text)
    return _PLACEHOLDER.sub(lambda m: values[m[1]], text).strip()
