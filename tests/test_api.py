"""The public face: complete, documented, importable, and quiet."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import transfer_prompting as tp

QUIET = """
import gc, logging, os, signal, sys, threading, warnings

OPTIONAL = {"openai", "opentelemetry", "pandas", "pyarrow", "datasets", "xllamacpp", "gguf", "uvloop",
    "typer"}

def state():
    loggers = (logging.root, logging.getLogger("transfer_prompting"))
    return {
        "threads": threading.enumerate(),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "loggers": [(log.handlers[:], log.level) for log in loggers],
        "warnings": warnings.filters[:],
        "gc": gc.get_threshold(),
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook),
        "environment": dict(os.environ),
        "files": sorted(os.listdir(".")),
        "optional": OPTIONAL & set(sys.modules),
    }

import numpy, scipy.stats, sklearn.metrics, structlog, pydantic, aiohttp  # theirs is not ours
before = state()
import transfer_prompting
after = state()
changed = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
assert not changed, changed
"""


def test_every_public_name_is_there_and_documented():
    for name in tp.__all__:
        assert inspect.getdoc(getattr(tp, name)), name
    assert tp.__all__ == sorted(tp.__all__)


def test_every_name_that_the_package_imports_is_public():
    tree = ast.parse(Path(inspect.getfile(tp)).read_text(encoding="utf-8"))
    imported = [
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    ]
    assert sorted(imported) == tp.__all__


def test_every_public_method_is_documented_where_it_stands_or_in_the_protocol_it_meets():
    for name in tp.__all__:
        found = getattr(tp, name)
        if inspect.isclass(found) and found.__module__.startswith("transfer_prompting"):
            promised = tp.Bus if issubclass(found, tp.InProcessBus) else found
            for key, member in vars(found).items():
                if not key.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                    assert inspect.getdoc(getattr(promised, key)), f"{name}.{key}"


def test_importing_starts_nothing_and_configures_nothing(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", QUIET], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""


def test_a_scenario_is_loaded_by_path_or_bundled_name():
    assert tp.Scenario.load("quickstart").name == "quickstart"
