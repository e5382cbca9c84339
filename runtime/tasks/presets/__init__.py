"""Presets: named mappings of public data sets to examples.

Each YAML file of this folder holds the presets of one domain, the file's name. A preset is added there: its
name, what `Preset` holds, and its `layouts`, which name a reader of `readers.py`.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec
import yaml

from ....scenarios.errors import InputError, nearest
from ....scenarios.tasks import Kind
from ..data import Shape, Values
from ..mapping import Drop, Raw, Unfit, has, listed
from .readers import MAKERS, READERS, Reader

__all__ = ["Layout", "Preset", "find_preset", "presets"]


class Layout(msgspec.Struct, frozen=True):
    """One shape the set is published in.

    A row has this layout when all dotted paths of `needs` lead to a field. `read` names a reader, with its
    arguments where it takes any. `leaks` are fields that reveal the answer; no reader may show them.
    """

    name: str
    needs: tuple[str, ...]
    read: str | dict[str, dict[str, object]]
    leaks: tuple[str, ...] = ()

    @property
    def reader(self) -> Reader:
        """The reader of this layout's rows."""
        if isinstance(self.read, str):
            return READERS[self.read]
        ((name, arguments),) = self.read.items()
        return MAKERS[name](**arguments)


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """A named mapping of a public set to our examples.

    `prompt` is the original prompt, one that is written without optimising. `source` is the origin of the
    set, `licence` the one its publishers state. `labels` are in the order of the data's indices, or a mapping
    from the data's values; empty where the kind needs none. `block` and `encoding` as in `Shape`.
    """

    name: str
    domain: str
    title: str
    kind: Kind
    source: str
    licence: str
    description: str
    prompt: str
    layouts: tuple[Layout, ...]
    labels: tuple[str, ...] | Mapping[str, str] = ()
    synonyms: Mapping[str, tuple[str, ...]] = {}
    note: str = ""
    block: int = 1
    encoding: str | None = None

    @property
    def shape(self) -> Shape:
        """The form of the set's original files."""
        names = {path.partition(".")[0] for layout in self.layouts for path in layout.needs}
        named = frozenset(name for name in names if not name.isdecimal())
        return Shape(named or frozenset({self.name}), self.block, self.encoding)

    def layout(self, values: Values) -> Layout:
        """The first layout that a row has. Raises Unfit where it has none."""
        for layout in self.layouts:
            if all(has(values, path) for path in layout.needs):
                return layout
        known = "; ".join(f"{layout.name}: {', '.join(layout.needs)}" for layout in self.layouts)
        raise Unfit(f"not a layout of preset {self.name}: the row has {listed(values)}; known are {known}")

    def read(self, values: Values) -> Raw | Drop:
        """The parts of a row. Raises Unfit where its layout is unknown or a part is missing or empty."""
        return self.layout(values).reader(values)


def presets() -> tuple[Preset, ...]:
    """Every preset, by domain and name."""
    return tuple(sorted(_all().values(), key=lambda preset: (preset.domain, preset.name)))


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises InputError with the nearest name where there is none."""
    found = _all().get(name)
    if found is None:
        hint = nearest(name, _all(), all_are="`tprompt presets` shows what each is for; there are")
        raise InputError(f"no preset {name!r}; {hint}")
    return found


@cache
def _all() -> Mapping[str, Preset]:
    pages = [file for file in files(__name__).iterdir() if file.name.endswith(".yaml")]
    return {preset.name: preset for page in pages for preset in _presets(page)}


def _presets(page: Traversable) -> list[Preset]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    domain = page.name.removesuffix(".yaml")
    found = yaml.load(page.read_text(encoding="utf-8"), loader)
    return [
        msgspec.convert({"name": name, "domain": domain, **fields}, Preset) for name, fields in found.items()
    ]
