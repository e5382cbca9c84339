"""Importing the structs that messages hold loads no numeric library."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

IMPORT = """
import importlib, sys, types
package = types.ModuleType("transfer_prompting")  # without its own imports
package.__path__ = sys.argv[2:]
sys.modules["transfer_prompting"] = package
importlib.import_module(f"transfer_prompting.{sys.argv[1]}")
assert not {"numpy", "scipy", "sklearn"} & set(sys.modules), sorted(sys.modules)
"""


@pytest.mark.parametrize(
    "module",
    [
        "runtime.evaluation.outcomes",
        "runtime.evaluation.scorecard",
        "runtime.evaluation.metrics",
        "runtime.evaluation.objective",
        "runtime.evaluation.own_metrics",
        "runtime.evaluation.grading",
        "runtime.tasks.load",
        "runtime.tasks.presets",
    ],
)
def test_importing_a_struct_imports_no_numpy(module: str):
    spec = find_spec("transfer_prompting")
    assert spec is not None
    folders = list(spec.submodule_search_locations or ())
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, module, *folders], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


EVALUATE = """
import sys
import transfer_prompting as tp
rows = [{"question": "How?", "answer": label} for label in ("so", "not")]
print(tp.run_sync(tp.evaluate("Decide.", rows, model=lambda prompt, question: "so")).scorecard.accuracy)
heavy = {"aiohttp", "openai", "rich", "scipy", "structlog", "typer"}
assert not heavy & set(sys.modules), sorted(heavy & set(sys.modules))
"""


def test_an_evaluation_loads_no_library_that_it_does_not_use():
    done = subprocess.run([sys.executable, "-c", EVALUATE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0.5\n"


CONNECT = """
import sys, threading
import transfer_prompting as tp
tp.evaluate
main = []
class Noting:
    def find_spec(name, path=None, target=None):
        if name == sys.argv[1]:
            main.append(threading.current_thread() is threading.main_thread())
sys.meta_path.insert(0, Noting)
model = {"base_url": "http://127.0.0.1:9/v1", "model": "m", "client": sys.argv[1]}
rows = [{"question": "How?", "answer": label} for label in ("so", "not")]
try:
    tp.run_sync(tp.evaluate("Decide.", rows, model=model))
except tp.EndpointError:
    print(main)
"""


@pytest.mark.parametrize("client", ["aiohttp", "openai"])
def test_the_library_of_a_client_is_loaded_in_a_thread(client: str):
    done = subprocess.run(
        [sys.executable, "-c", CONNECT, client], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[False]\n", "")
