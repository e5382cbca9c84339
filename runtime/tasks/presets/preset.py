"""What a preset is: the layouts of a public set, and how its rows are asked."""

from collections.abc import Callable, Mapping

import msgspec

from ....scenarios.tasks import Kind
from ..data import Shape, Values
from ..mapping import Drop, Raw, Unfit, has

Reader = Callable[[Values], Raw | Drop]


class Layout(msgspec.Struct, frozen=True):
    """One shape the set is published in.

    A row has this layout when all dotted paths of `needs` lead to a field. `leaks` are fields that tell the
    answer; no reader may show them.
    """

    name: str
    needs: tuple[str, ...]
    read: Reader
    leaks: tuple[str, ...] = ()


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """A named mapping of a public set to our examples.

    `prompt` is the original prompt, what one would write without optimising. `source` says where the set
    comes from, `licence` what its publishers state. `labels` are in the order of the data's indices, or a
    mapping from the data's values; empty where the kind needs none.
    """

    name: str
    title: str
    kind: Kind
    domain: str
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
        """How the set's original files are read."""
        names = {path.partition(".")[0] for layout in self.layouts for path in layout.needs}
        named = frozenset(name for name in names if not name.isdecimal())
        return Shape(named or frozenset({self.name}), self.block, self.encoding)

    def layout(self, values: Values) -> Layout:
        """The first layout that a row has. Raises Unfit where it has none."""
        for layout in self.layouts:
            if all(has(values, path) for path in layout.needs):
                return layout
        known = "; ".join(f"{layout.name}: {', '.join(layout.needs)}" for layout in self.layouts)
        raise Unfit(f"not a layout of preset {self.name}: the row has {', '.join(values)}; known are {known}")

    def read(self, values: Values) -> Raw | Drop:
        """The parts of a row. Raises Unfit where its layout is unknown or a part is missing or empty."""
        return self.layout(values).read(values)
