"""Scenario files that are broken on purpose: each gets one clear message, quickly."""

import time
from pathlib import Path

import pytest

from transfer_prompting.scenarios import InputError, Scenario, load

MINIMAL = """\
name: tiny
seed: 3
endpoints:
  here: {base_url: "http://127.0.0.1:9/v1", timeout: 10}
models:
  small: {endpoint: here, model: small-1, price: {input_per_million: 1}}
reference: {model: small}
targets: [small]
tasks:
  reviews: {data: reviews.jsonl, kind: classification, labels: [good, bad]}
stages:
  source: {tasks: [reviews], seed_prompts: ["Classify."]}
  target: {tasks: [reviews]}
"""
LINES = MINIMAL.count("\n")
SECONDS = 5.0


def refused(folder: Path, text: str, *overrides: str) -> str:
    """The message that a file is refused with, which must come at once."""
    path = folder / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    start = time.perf_counter()
    with pytest.raises(InputError) as caught:
        load(path, overrides)
    assert time.perf_counter() - start < SECONDS
    return str(caught.value)


def bomb(first: str, level: str, join: str) -> str:
    lines = [f"x0: &x0 {first}\n"]
    for i in range(1, 10):
        inner = join.join(level.format(j=j, i=i - 1) for j in range(9))
        opening, closing = ("[", "]") if join == "," and "{" not in first else ("{", "}")
        lines.append(f"x{i}: &x{i} {opening}{inner}{closing}\n")
    return "".join(lines)


BOMBS = {
    "lists": bomb("[a, a]", "*x{i}", ","),
    "maps": bomb("{a: 1}", "k{j}: *x{i}", ", "),
    "merges": "x0: &x0 {a: 1}\n"
    + "".join(f"x{i}: &x{i} {{<<: [{', '.join([f'*x{i - 1}'] * 9)}]}}\n" for i in range(1, 10)),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_aliases_that_stand_for_very_many_values_are_refused(tmp_path: Path, kind: str):
    assert "aliases stand for more than" in refused(tmp_path, MINIMAL + BOMBS[kind])


@pytest.mark.parametrize("text", ["zz: &a [*a]", "zz: &a {b: *a}", "zz: &a {b: [1, {c: *a}]}"])
def test_an_anchor_within_itself_is_refused_with_its_line(tmp_path: Path, text: str):
    assert f"tiny.yaml:{LINES + 1}: an anchor that holds itself" in refused(tmp_path, f"{MINIMAL}{text}\n")


@pytest.mark.parametrize(
    "deep", ["[" * 5000 + "]" * 5000, "{a: " * 5000 + "1" + "}" * 5000, "[" * 200 + "]" * 200]
)
def test_deep_nesting_is_refused(tmp_path: Path, deep: str):
    message = refused(tmp_path, f"{MINIMAL}zz: {deep}\n")
    assert "tiny.yaml" in message
    assert len(message) < 300


@pytest.mark.parametrize(
    "value",
    [
        "0b_",
        "0x",
        "_",
        "9" * 5000,
        "9" * 400,
        "!!int abc",
        "!!int",
        "!!bool zz",
        ".inf",
        "2001-99-99",
        "2001-09-09",
        "true",
    ],
)
def test_a_seed_that_is_no_number_is_refused_with_its_line(tmp_path: Path, value: str):
    message = refused(tmp_path, MINIMAL.replace("seed: 3", f"seed: {value}"))
    assert message.startswith(f"{tmp_path}/tiny.yaml:2: ")
    assert len(message) < 500


@pytest.mark.parametrize("tag", ["!!python/name:os.system", "!!set", "!!omap", "!!binary", "!!timestamp"])
@pytest.mark.parametrize("value", ["''", "[]", "{}"])
def test_a_tag_that_makes_anything_but_plain_values_is_refused(tmp_path: Path, tag: str, value: str):
    message = refused(tmp_path, f"{MINIMAL}description: {tag} {value}\n")
    assert f"tiny.yaml:{LINES + 1}: the tag" in message


@pytest.mark.parametrize(
    "setting",
    [
        "endpoints.here.timeout=.inf",
        "endpoints.here.timeout=.nan",
        "endpoints.here.timeout=1.0e+300",
        "endpoints.here.limits.concurrency=999999999999",
        "endpoints.here.retry.seconds=.inf",
        "models.small.price.input_per_million=.inf",
        "models.small.price.input_per_million=.nan",
        "models.small.temperature=.nan",
        "tasks.reviews.split={train: .inf, validation: 1, test: 1}",
        "tasks.reviews.split={train: .nan, validation: 0.1, test: 0.1}",
        "tasks.reviews.split={train: 10000000000000, validation: 1, test: 1}",
        "scorer.objective={accuracy: .inf}",
        "scorer.require={accuracy: .nan}",
        "reference.candidates_per_step=1000000000",
        "stages.target.steps=1000000000000",
        "budget.usd=.inf",
        "budget.minutes=.nan",
        "compare={variants: {a: {seed: 1}}, seeds: [99999999999999999999999]}",
    ],
)
def test_a_number_beyond_any_use_is_refused_by_its_key(tmp_path: Path, setting: str):
    key = setting.partition("=")[0]
    assert f": {key}" in refused(tmp_path, MINIMAL, setting)


@pytest.mark.parametrize(
    "setting",
    [
        "models.small.temperature=no",
        "models.small.max_tokens=true",
        "budget.calls=on",
        "scorer.objective={accuracy: true}",
        "tasks.reviews.split.validation=yes",
    ],
)
def test_a_boolean_is_no_number(tmp_path: Path, setting: str):
    key = setting.partition("=")[0]
    assert f": {key}: a number is expected, not true or false" in refused(tmp_path, MINIMAL, setting)


def test_dates_and_sexagesimal_numbers_stay_text(tmp_path: Path):
    rows = "rows: [{text: 2001-09-09, label: good}, {text: 1:30, label: bad}, {text: =, label: bad}]"
    path = tmp_path / "tiny.yaml"
    path.write_text(MINIMAL.replace("data: reviews.jsonl", rows), encoding="utf-8")
    held = load(path).tasks["reviews"].rows
    assert isinstance(held, list)
    assert [row["text"] for row in held] == ["2001-09-09", "1:30", "="]


def test_merges_give_keys_that_the_mapping_itself_overrides(tmp_path: Path):
    models = "models:\n  base: &base {endpoint: here, model: a, top_p: 0.5}\n  small: {<<: *base, model: b}\n"
    start = MINIMAL.index("models:")
    end = MINIMAL.index("reference:")
    path = tmp_path / "tiny.yaml"
    path.write_text(MINIMAL[:start] + models + MINIMAL[end:], encoding="utf-8")
    small = load(path).models["small"]
    assert (small.model, small.top_p) == ("b", 0.5)


@pytest.mark.parametrize("where", ["name", "description", "prompt"])
def test_half_a_surrogate_pair_is_refused(tmp_path: Path, where: str):
    texts = {
        "name": MINIMAL.replace("name: tiny", 'name: "\\ud800"'),
        "description": MINIMAL + 'description: "\\ud800"\n',
        "prompt": MINIMAL.replace("Classify.", "Classify \\ud800"),
    }
    assert "tiny.yaml" in refused(tmp_path, texts[where])


def test_an_override_with_half_a_surrogate_pair_is_refused(tmp_path: Path):
    assert "--set description=" in refused(tmp_path, MINIMAL, "description=a\udcffb")


def test_many_problems_are_listed_up_to_a_number(tmp_path: Path):
    message = refused(tmp_path, MINIMAL + "".join(f"k{i}: 1\n" for i in range(20_000)))
    assert message.endswith("more problems")
    assert len(message.splitlines()) < 100


def test_a_long_wrong_value_is_shortened(tmp_path: Path):
    assert len(refused(tmp_path, MINIMAL.replace("seed: 3", f"seed: {'x' * 1_000_000}"))) < 1000


def test_keys_that_are_no_text_are_refused_with_their_line(tmp_path: Path):
    for key in ("[a, b]", "{a: b}"):
        assert f":{LINES + 1}: a key must be a text" in refused(tmp_path, f"{MINIMAL}? {key}\n: 2\n")


def test_many_inline_rows_load_quickly(tmp_path: Path):
    rows = "".join(f"    - {{label: good, text: fine {i}}}\n" for i in range(30_000))
    task = f"  reviews:\n    kind: classification\n    labels: [good, bad]\n    rows:\n{rows}"
    start, end = MINIMAL.index("  reviews:"), MINIMAL.index("stages:")
    path = tmp_path / "tiny.yaml"
    path.write_text(MINIMAL[:start] + task + MINIMAL[end:], encoding="utf-8")
    begin = time.process_time()
    held = load(path).tasks["reviews"].rows
    assert held is not None
    assert time.process_time() - begin < 10


def test_a_path_that_no_file_can_have_is_refused_by_name(tmp_path: Path):
    from transfer_prompting.agents.loading import load_tasks

    for data in ("a" * 5000 + ".jsonl", "~nosuchuser/x.jsonl"):
        (tmp_path / "tiny.yaml").write_text(MINIMAL.replace("reviews.jsonl", data), encoding="utf-8")
        with pytest.raises(InputError, match="cannot be the path of a data file") as caught:
            load_tasks(Scenario.load(tmp_path / "tiny.yaml"))
        assert len(str(caught.value)) < 400
