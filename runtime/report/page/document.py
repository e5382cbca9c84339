"""The page as one HTML document: template, style, scripts and data, under a content security policy.

Data stands in the page as JSON that no browser runs, and the scripts put it in as text only. So prompts and
model output, which are untrusted, cannot become markup; and the policy lets no script run but these.
"""

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import msgspec

from .view import View

SCRIPTS = (
    "dom",
    "theme",
    "plots",
    "answer",
    "prompts",
    "transfer",
    "search",
    "calibration",
    "responses",
    "cost",
    "trust",
    "page",
)
"""In the order in which they are joined into one script."""

_PACKAGE = __name__.rpartition(".")[0]
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def document(view: View, blocks: Sequence[str] = (), *, live: bool = False) -> str:
    """The page, complete in itself. A `live` one may also ask the server that it came from for news.

    `blocks` are test responses as `pack` makes them.
    """
    script = _program()
    slots = {
        "title": html.escape(f"{view.name}: transfer-prompting"),
        "policy": policy(script, live=live),
        "style": _asset("page.css"),
        "data": embedded(view),
        "blocks": "\n".join(f'<script type="text/plain" class="block">{block}</script>' for block in blocks),
        "live": "true" if live else "false",
        "script": script,
    }
    return _SLOT.sub(lambda slot: slots[slot[1]], _asset("page.html"))


def policy(script: str, *, live: bool) -> str:
    """Only this script runs, nothing is loaded from anywhere; plots set styles as they are drawn."""
    connect = "'self'" if live else "'none'"
    return (
        f"default-src 'none'; script-src 'sha256-{_digest(script)}'; style-src 'unsafe-inline'; "
        f"img-src data:; connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def embedded(view: View) -> str:
    """The view as JSON that can stand inside a script element: no `<` in it."""
    return msgspec.json.encode(view).replace(b"<", b"\\u003c").decode()


@cache
def _program() -> str:
    parts = "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}\n}})();\n'


@cache
def _asset(name: str) -> str:
    return (files(_PACKAGE) / "assets" / name).read_text(encoding="utf-8")


@cache
def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
