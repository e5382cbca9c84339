"""Metrics of one's own: which names are imported, when, and what happens when their code misbehaves."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from transfer_prompting.runtime.evaluation.own_metrics import load, measure
from transfer_prompting.scenarios import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


def written(folder: Path, name: str, code: str) -> None:
    (folder / f"{name}.py").write_text(code, encoding="utf-8")


def refused(folder: Path, name: str, *, allow_code: bool = True) -> str:
    with pytest.raises(InputError) as caught:
        load(name, folder, allow_code=allow_code)
    return str(caught.value)


def test_no_module_is_imported_where_code_is_not_allowed(folder: Path):
    written(folder, "own_marked", f"open({str(folder / 'mark')!r}, 'w').close()\ndef f(rows): return 1.0\n")
    assert "give --allow-code" in refused(folder, "own_marked:f", allow_code=False)
    assert not (folder / "mark").exists()
    assert load("own_marked:f", folder, allow_code=True)([]) == 1.0
    assert (folder / "mark").exists()


@pytest.mark.parametrize(
    "name", ["os:system", "os.path:exists", "subprocess:run", "builtins:eval", "__main__:main"]
)
def test_modules_of_python_itself_are_no_metrics(folder: Path, name: str):
    assert "a module of Python itself has no metrics" in refused(folder, name)


BROKEN = {
    "own_exits": ("import sys; sys.exit(0)\n", "raised SystemExit: 0"),
    "own_divides": ("\n1 / 0\n", "own_divides.py:2"),
    "own_broken": ("def (:\n", "is not valid Python"),
    "own_missing": ("import no_such_module_at_all\n", "cannot be imported"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_module_that_fails_when_imported_is_one_message(folder: Path, name: str):
    code, said = BROKEN[name]
    written(folder, name, code)
    message = refused(folder, f"{name}:f")
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(("code", "said"), [("sys.exit(0)", "SystemExit: 0"), ("rows[9]", "IndexError")])
def test_a_metric_that_fails_when_called_is_an_input_error_with_its_line(folder: Path, code: str, said: str):
    name = f"own_calls_{said[:5].lower()}"
    written(folder, name, f"import sys\ndef f(rows):\n    {code}\n")
    metric = load(f"{name}:f", folder, allow_code=True)
    with pytest.raises(InputError, match=said) as caught:
        measure(f"{name}:f", metric, [])
    assert f"{name}.py:3" in str(caught.value)
