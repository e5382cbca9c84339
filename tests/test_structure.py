"""The rooms of the package: which may import which, and how large a file may grow."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {"prompts": 0, "scenarios": 0, "runtime": 1, "agents": 2, "cli": 3}
LONGEST = 500


def modules() -> dict[tuple[str, ...], Path]:
    """Every module of the package by its parts; a package stands for its `__init__`."""
    found: dict[tuple[str, ...], Path] = {}
    for floor in FLOORS:
        for path in (ROOT / floor).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[parts[:-1] if parts[-1] == "__init__" else parts] = path
    return found


MODULES = modules()


def imports(module: tuple[str, ...], path: Path) -> set[tuple[str, ...]]:
    """The modules of the package that a module imports, wherever in it."""
    package = module if path.name == "__init__.py" else module[:-1]
    found: set[tuple[str, ...]] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - (node.level - 1)]
            target = (*base, *(node.module.split(".") if node.module else ()))
            for name in node.names:
                found.add((*target, name.name) if (*target, name.name) in MODULES else target)
    return {one for one in found if one and one != module}


GRAPH = {module: imports(module, path) for module, path in MODULES.items()}


def room(module: tuple[str, ...]) -> tuple[str, ...]:
    """The folder of a module; a module directly in `runtime` or `agents` is a room of its own."""
    is_package = MODULES[module].name == "__init__.py"
    if len(module) > 2 or is_package:
        return module if is_package else module[:-1]
    return module


def cycle(graph: dict[tuple[str, ...], set[tuple[str, ...]]]) -> list[str]:
    """The first cycle in a graph, as dotted names; empty where there is none."""
    done: set[tuple[str, ...]] = set()
    for start in sorted(graph):
        path: list[tuple[str, ...]] = []
        stack: list[tuple[tuple[str, ...], bool]] = [(start, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                done.add(path.pop())
            elif node in path:
                return [".".join(one) for one in [*path[path.index(node) :], node]]
            elif node not in done:
                path.append(node)
                stack.append((node, True))
                stack.extend((next, False) for next in sorted(graph.get(node, ())))
    return []


@pytest.mark.parametrize("module", sorted(MODULES), ids=".".join)
def test_no_import_climbs(module: tuple[str, ...]):
    floor = FLOORS[module[0]]
    climbing = [".".join(to) for to in GRAPH[module] if to[0] != module[0] and FLOORS[to[0]] >= floor]
    assert not climbing, f"{'.'.join(module)} imports {climbing}"


def test_no_modules_import_each_other():
    assert cycle(GRAPH) == []


def test_no_rooms_import_each_other():
    """Folders beside each other; a folder and what lies in it are one room."""
    rooms: dict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
    for module, targets in GRAPH.items():
        for target in targets:
            one, other = room(module), room(target)
            shared = min(len(one), len(other))
            if one[:shared] != other[:shared]:
                rooms[one].add(other)
    assert cycle(rooms) == []


@pytest.mark.parametrize("path", sorted(MODULES.values()), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_holds_one_topic(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST
