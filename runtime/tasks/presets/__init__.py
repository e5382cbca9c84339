"""Presets: named mappings of public data sets to examples."""

from difflib import get_close_matches

from ....scenarios.errors import InputError
from . import chinese, general, law, medicine, reasoning, sentiment
from .preset import Layout, Preset

_ALL = {
    preset.name: preset
    for group in (general, reasoning, medicine, law, sentiment, chinese)
    for preset in group.PRESETS
}


def presets() -> tuple[Preset, ...]:
    """Every preset, by domain and name."""
    return tuple(sorted(_ALL.values(), key=lambda preset: (preset.domain, preset.name)))


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises InputError with the nearest names where there is none."""
    if name in _ALL:
        return _ALL[name]
    close = get_close_matches(name, _ALL, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "`tprompt presets` lists them"
    raise InputError(f"no preset {name!r}; {hint}")


__all__ = ["Layout", "Preset", "find_preset", "presets"]
