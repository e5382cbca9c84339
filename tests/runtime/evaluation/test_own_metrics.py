"""Metrics of one's own: which names are imported, when, and what happens when their code misbehaves."""

import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import numpy as np
import pytest

import transfer_prompting as tp
from transfer_prompting.runtime.evaluation.own_metrics import Own, load, measure, measured, merged
from transfer_prompting.scenarios import InputError

from support.graded import graded


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
async def test_a_metric_that_fails_when_called_is_an_input_error_with_its_line(
    folder: Path, code: str, said: str
):
    name = f"own_calls_{said[:5].lower()}"
    written(folder, name, f"import sys\ndef f(rows):\n    {code}\n")
    metric = load(f"{name}:f", folder, allow_code=True)
    with pytest.raises(InputError, match=said) as caught:
        await measure(f"{name}:f", metric, [])
    assert f"{name}.py:3" in str(caught.value)


async def test_a_metric_with_words_is_asked_for_each_response_and_its_value_is_their_mean():
    asked: list[int] = []

    def short(rows: list[tp.Graded]) -> tuple[float | None, str]:
        asked.append(len(rows))
        tokens = rows[0].completion_tokens
        return (None, "") if tokens == 0 else (float(tokens < 5), f"{tokens} tokens")

    rows, totals = await measured({"own:short": short}, {"own:short"}, [*map(of_tokens, (3, 9, 4, 0))])
    assert asked == [1, 1, 1, 1]
    assert [row.own for row in rows] == [{"own:short": 1.0}, {"own:short": 0.0}, {"own:short": 1.0}, {}]
    assert [row.remark for row in rows] == ["3 tokens", "9 tokens", "4 tokens", ""]
    assert totals == {"own:short": Own(2 / 3, 3)}


async def test_a_metric_may_be_asynchronous():
    async def short(rows: list[tp.Graded]) -> float:
        await anyio.lowlevel.checkpoint()
        return float(rows[0].completion_tokens < 5)

    for weighed in ({"own:short"}, set[str]()):
        rows, totals = await measured({"own:short": short}, weighed, [*map(of_tokens, (3, 9))])
        assert totals == {"own:short": Own(0.5 if weighed else 1.0, 2)}
        assert [row.own for row in rows] == (
            [{"own:short": 1.0}, {"own:short": 0.0}] if weighed else [{}, {}]
        )


async def test_what_an_asynchronous_metric_raises_when_it_is_awaited_is_an_input_error(folder: Path):
    code = "async def f(rows):\n    return 1.0 if rows else 1 / 0\n"
    written(folder, "own_waits", code)
    metric = load("own_waits:f", folder, allow_code=True)
    assert (await measure("own_waits:f", metric, [of_tokens(3)])).value == 1.0
    with pytest.raises(InputError, match="metric own_waits:f: raised ZeroDivisionError"):
        await measure("own_waits:f", metric, [])


async def test_words_of_several_metrics_are_kept_together_and_cut():
    rows, _ = await measured(
        {
            "own:a": lambda rows: (1.0, "one"),
            "own:b": lambda rows: (None, "x" * 5_000),
            "own:c": lambda rows: 0.5,
        },
        {"own:a", "own:b"},
        [of_tokens(3), of_tokens(4)],
    )
    assert [row.remark for row in rows] == ["one\n" + "x" * 1_000] * 2
    assert await measured({"own:a": lambda rows: 1.0}, (), []) == ([], {})


def test_blocks_of_rows_are_merged_by_their_rows():
    one, other = {"a": Own(1.0, 1), "b": Own(0.5, 2)}, {"a": Own(0.0, 3)}
    assert merged(one, other) == {"a": Own(0.25, 4), "b": Own(0.5, 2)}


async def test_a_metric_that_returns_a_number_is_asked_for_all_responses_together():
    def agreed(rows: list[tp.Graded]) -> float:
        return float(len({row.completion_tokens for row in rows}) == 1)

    rows, totals = await measured({"own:agreed": agreed}, {"own:agreed"}, [*map(of_tokens, (3, 9))])
    assert [row.own for row in rows] == [{"own:agreed": 1.0}] * 2
    assert totals == {"own:agreed": Own(0.0, 2)}


async def test_a_metric_that_is_not_weighed_is_asked_for_all_responses_alone():
    def pairs(rows: list[tp.Graded]) -> float:
        assert len(rows) == 2
        return 1.0

    rows, totals = await measured({"own:pairs": pairs}, (), [*map(of_tokens, (3, 9))])
    assert totals == {"own:pairs": Own(1.0, 2)}
    assert [row.own for row in rows] == [{}, {}]


@pytest.mark.parametrize("value", [(0.5, 3), (2, "much"), (0.5,), ("0.5", "words")])
async def test_words_beside_a_number_are_a_pair_of_both(value: object):
    with pytest.raises(InputError, match=r"expected None or a number from 0 to 1, alone or as"):
        await measure("own:f", lambda rows: value, [])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), np.int64(1)])
async def test_numbers_of_numpy_are_numbers(value: float):
    assert (await measure("own:f", lambda rows: value, [])).value == float(value)


def of_tokens(tokens: int) -> tp.Graded:
    return graded(str(tokens), tokens=tokens)
