"""YAML that only ever gives what JSON can hold, with the line of every key, in bounded time and memory.

Anchors, aliases and merges are read as YAML 1.1 has them. Dates, times and sexagesimal numbers (`1:30`) stay
text, since no key of a scenario wants them. Everything else that is no plain value is refused.
"""

from typing import cast

import yaml

from .errors import InputError

Key = str | int

DEEPEST = 100
"""Most levels of nesting."""
REPEATED = 100_000
"""Most values that aliases may add to those that are written out."""

_TAG = "tag:yaml.org,2002:"
_TEXT = {f"{_TAG}{name}" for name in ("str", "value", "merge")}  # a lone = and << are text too
_TIMESTAMP = f"{_TAG}timestamp"


_RESOLVERS = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# libyaml where PyYAML was built with it: about ten times as fast.
_BASE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Loader = cast("type[yaml.SafeLoader]", type("_Loader", (_BASE,), {"yaml_implicit_resolvers": _RESOLVERS}))
_SCALARS = yaml.constructor.SafeConstructor()


def read_yaml(text: str, name: str) -> tuple[object, dict[tuple[Key, ...], int]]:
    """The one document of a text (None where it is empty), and the line of each key path in it.

    Raises InputError, which names the line: for a syntax error, a key given twice, an anchor within itself,
    nesting deeper than `DEEPEST`, aliases that stand for more than `REPEATED` values, and a value that does
    not fit its tag.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise InputError(f"{where}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from None
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise InputError(f"{name}:{line}: holds half a surrogate pair, which is no character") from None
    except RecursionError:
        raise InputError(f"{name}: nested deeper than {DEEPEST} levels") from None
    reader = _Reader(name)
    return None if node is None else reader.value(node, ()), reader.lines


class _Reader:
    """Values of nodes; `lines` are filled on the way."""

    def __init__(self, name: str) -> None:
        self.lines: dict[tuple[Key, ...], int] = {}
        self._name = name
        self._seen: set[int] = set()
        self._open: set[int] = set()
        self._repeated = 0

    def value(self, node: yaml.Node, path: tuple[Key, ...]) -> object:
        if isinstance(node, yaml.ScalarNode):
            self._count(node)
            return self._scalar(node)
        if id(node) in self._open:
            raise self._error(node, "an anchor that holds itself")
        if len(self._open) >= DEEPEST:
            raise self._error(node, f"nested deeper than {DEEPEST} levels")
        self._count(node)
        self._open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            value = self._mapping(node, path)
        else:
            value = self._sequence(cast("yaml.SequenceNode", node), path)
        self._open.remove(id(node))
        return value

    def _count(self, node: yaml.Node) -> None:
        if id(node) not in self._seen:
            self._seen.add(id(node))
            return
        self._repeated += 1
        if self._repeated > REPEATED:
            raise self._error(node, f"aliases stand for more than {REPEATED:,} values; write fewer")

    def _sequence(self, node: yaml.SequenceNode, path: tuple[Key, ...]) -> list[object]:
        self._refuse_tag(node, "seq")
        values: list[object] = []
        for i, item in enumerate(cast("list[yaml.Node]", node.value)):
            inner = (*path, i)
            self.lines[inner] = _line(item)
            values.append(self.value(item, inner))
        return values

    def _mapping(self, node: yaml.MappingNode, path: tuple[Key, ...]) -> dict[object, object]:
        self._refuse_tag(node, "map")
        pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value)
        merged: dict[object, object] = {}
        for key_node, value_node in pairs:
            if key_node.tag == f"{_TAG}merge":
                for key, value in self._merged(value_node, path).items():
                    merged.setdefault(key, value)
        values: dict[object, object] = {}
        first: dict[str, int] = {}
        for key_node, value_node in pairs:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key must be a text, not a list or mapping")
            name, line = str(cast("object", key_node.value)), _line(key_node)
            inner = (*path, name)
            if name in first:
                where = f"{self._name}:{line}: {path_text(inner)}"
                raise InputError(f"{where} is given twice (first on line {first[name]})")
            first[name] = line
            if key_node.tag != f"{_TAG}merge":
                self.lines[inner] = line
                values[self._scalar(key_node)] = self.value(value_node, inner)
        return merged | values

    def _merged(self, node: yaml.Node, path: tuple[Key, ...]) -> dict[object, object]:
        """Entries that `<<` adds: the keys of a mapping, or of several, the first of which has precedence."""
        several = isinstance(node, yaml.SequenceNode)
        merged: dict[object, object] = {}
        for one in cast("list[yaml.Node]", node.value) if several else [node]:
            if not isinstance(one, yaml.MappingNode):
                raise self._error(one, "<< takes a mapping or a list of mappings")
            merged = cast("dict[object, object]", self.value(one, path)) | merged
        return merged

    def _scalar(self, node: yaml.ScalarNode) -> object:
        text = cast("str", node.value)
        try:
            match node.tag.removeprefix(_TAG):
                case "int" | "float" if ":" in text:
                    return text
                case "int":
                    return _SCALARS.construct_yaml_int(node)
                case "float":
                    return _SCALARS.construct_yaml_float(node)
                case "bool":
                    return _SCALARS.construct_yaml_bool(node)
                case "null":
                    return None
                case _ if node.tag in _TEXT:
                    return text
                case tag:
                    raise self._error(node, f"the tag !!{tag} is not supported; give a plain value")
        except (ValueError, LookupError, OverflowError):
            kind = node.tag.removeprefix(_TAG)
            shown = text if len(text) <= 60 else f"{text[:60]}…"
            raise self._error(
                node, f"{shown} cannot be read as {kind}; put it in quotes if it is text"
            ) from None

    def _refuse_tag(self, node: yaml.Node, plain: str) -> None:
        if node.tag != _TAG + plain:
            tag = node.tag.removeprefix(_TAG)
            raise self._error(node, f"the tag !!{tag} is not supported; write a plain list or mapping")

    def _error(self, node: yaml.Node, problem: str) -> InputError:
        return InputError(f"{self._name}:{_line(node)}: {problem}")


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def path_text(path: tuple[Key, ...]) -> str:
    """`('targets', 0)` as `targets[0]`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text
