"""Loading scenario files: what is accepted, and what a wrong file is told."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from transfer_prompting.scenarios import InputError, Scenario, load
from transfer_prompting.scenarios.scenario import bundled

MINIMAL = """\
name: tiny
endpoints:
  here: {base_url: "http://127.0.0.1:9/v1"}
models:
  small: {endpoint: here, model: small-1}
reference: {model: small}
targets: [small]
tasks:
  reviews: {data: reviews.jsonl, kind: classification, labels: [good, bad]}
stages:
  source: {tasks: [reviews], seed_prompts: ["Classify."]}
  target: {tasks: [reviews]}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        load(written(folder, text), overrides)
    return str(caught.value)


def test_a_minimal_scenario_has_the_documented_defaults(tmp_path: Path):
    scenario = load(written(tmp_path, MINIMAL))
    assert scenario.reference.candidates_per_step == 8
    assert scenario.scorer.objective == {
        "accuracy": 0.4,
        "ifr": 0.2,
        "ece": 0.2,
        "auroc": 0.1,
        "auprc_p": 0.05,
        "auprc_n": 0.05,
    }
    assert scenario.scorer.max_failed == 0.02
    assert scenario.folder == tmp_path


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_known_one(tmp_path: Path):
    message = refused(tmp_path, MINIMAL.replace("reference: {model: small}", "referense: {model: small}"))
    assert f"{tmp_path / 'tiny.yaml'}:6: referense: unknown key; did you mean 'reference'?" in message


def test_an_unknown_nested_key_is_matched_within_its_own_mapping(tmp_path: Path):
    message = refused(tmp_path, MINIMAL.replace("model: small-1}", "model: small-1, temprature: 1}"))
    assert ":5: models.small.temprature: unknown key; did you mean 'temperature'?" in message


def test_every_problem_of_a_file_is_told_at_once(tmp_path: Path):
    message = refused(
        tmp_path, MINIMAL.replace("name: tiny", "nam: tiny").replace("small-1", "3.5, price: 1")
    )
    assert len(message.splitlines()) >= 3


def test_a_name_that_is_defined_nowhere_is_refused_with_those_that_are(tmp_path: Path):
    message = refused(tmp_path, MINIMAL.replace("targets: [small]", "targets: [large]"))
    assert "targets[0]: 'large' is not an entry of models; there are small" in message


WRONG_BELOW = [
    ("targets: [small]", "targets:\n- small\n- smal", ":9: targets[1]: 'smal' is not an entry of models"),
    ("{endpoint: here,", "{endpoint: hre,", ":5: models.small.endpoint: 'hre' is not an entry of endpoints"),
    ("target: {tasks: [reviews]}", "target: {tasks: [review]}", ":12: stages.target.tasks[0]: 'review'"),
    ("targets: [small]", "targets: [small, small]", ":7: targets[1]: 'small' is named twice"),
    (
        "tasks: [reviews], s",
        "tasks: [reviews, reviews], s",
        ": stages.source.tasks[1]: 'reviews' is named twice",
    ),
    ("targets:", "scorer: {judge: [relevance]}\ntargets:", ":7: scorer.model: needed to judge"),
    (
        "targets:",
        "scorer: {model: small, judge: [quality, quality]}\ntargets:",
        ":7: scorer.judge: quality is",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "said"), WRONG_BELOW)
def test_what_does_not_fit_together_is_told_with_its_own_line(
    tmp_path: Path, right: str, wrong: str, said: str
):
    assert said in refused(tmp_path, MINIMAL.replace(right, wrong))


def test_a_name_that_is_also_a_key_is_a_name(tmp_path: Path):
    more = "small-1}\n  price: {input_per_million: 2}"
    message = refused(tmp_path, MINIMAL.replace("small-1}", more))
    assert (
        ":6: models.price.input_per_million: unknown key; known keys here are confidence, endpoint" in message
    )


def test_a_key_given_twice_is_refused_with_both_lines(tmp_path: Path):
    message = refused(tmp_path, MINIMAL + "name: again\n")
    assert ":13: name is given twice (first on line 1)" in message


def test_broken_yaml_is_told_with_its_line(tmp_path: Path):
    assert ":13: not valid YAML" in refused(tmp_path, MINIMAL + "budget: {calls: [}\n")


@pytest.mark.parametrize(
    "secret",
    [
        'api_key_env: "sk-abcdefghijklmnopqrstuvwxyz"',
        'api_key_env: "not a variable"',
        'api_key: "x"',
    ],
)
def test_a_secret_is_refused_and_never_repeated(tmp_path: Path, secret: str):
    message = refused(tmp_path, MINIMAL.replace('9/v1"', f'9/v1", {secret}'))
    assert "looks like a secret" in message
    assert secret.split('"')[1] not in message


@pytest.mark.parametrize("url", ["http://me:hunter2@host/v1", "https://me:hunt/er2@host", "me:hunter2@host"])
def test_a_password_in_an_address_is_refused_and_never_repeated(tmp_path: Path, url: str):
    message = refused(tmp_path, MINIMAL.replace("http://127.0.0.1:9/v1", url))
    assert ":3: endpoints.here.base_url: holds an @" in message
    assert "api_key_env" in message
    assert "hunt" not in message


def test_an_override_replaces_one_value(tmp_path: Path):
    path = written(tmp_path, MINIMAL)
    scenario = load(path, ["budget.calls=500", "seed=3", "targets.0=small", "endpoints.here.timeout=2.5"])
    assert (scenario.budget.calls, scenario.seed, scenario.endpoints["here"].timeout) == (500, 3, 2.5)


@pytest.mark.parametrize("override", ["budget", "=3", "name.deeper=1", "targets.9=small"])
def test_a_senseless_override_is_refused_by_name(tmp_path: Path, override: str):
    assert f"--set {override}" in refused(tmp_path, MINIMAL, override)


def test_an_override_is_validated_like_the_file(tmp_path: Path):
    assert "budget.cals: unknown key; did you mean 'calls'?" in refused(tmp_path, MINIMAL, "budget.cals=3")


def test_a_missing_scenario_is_told_with_the_nearest_bundled_name():
    with pytest.raises(InputError, match="did you mean 'quickstart'"):
        load("quickstrat")


def test_a_missing_file_is_told_as_such(tmp_path: Path):
    with pytest.raises(InputError, match="no such scenario file"):
        load(tmp_path / "none.yaml")


def test_a_mistyped_file_is_told_the_nearest_beside_it(tmp_path: Path):
    (tmp_path / "tickets.yaml").write_text(MINIMAL)
    (tmp_path / "other.yml").write_text(MINIMAL)
    with pytest.raises(InputError, match=f"no such scenario file; did you mean '{tmp_path}/tickets.yaml'"):
        load(tmp_path / "tikets.yaml")


def test_a_name_is_looked_for_among_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "tickets.yaml").write_text(MINIMAL)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"tickets: neither .*; did you mean 'tickets.yaml'"):
        load("tickets")


def test_a_folder_is_told_what_scenarios_are_in_it(tmp_path: Path):
    (tmp_path / "tickets.yaml").write_text(MINIMAL)
    with pytest.raises(InputError, match=r"a folder; give the scenario file in it: tickets\.yaml"):
        load(tmp_path)


def test_a_mistyped_reference_to_a_model_is_told_the_nearest(tmp_path: Path):
    assert "did you mean 'small'?" in refused(tmp_path, MINIMAL, "targets=[smal]")


def test_a_file_that_is_not_utf8_is_told_with_the_byte(tmp_path: Path):
    path = tmp_path / "latin.yaml"
    path.write_bytes("name: caf\xe9\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8 text"):
        load(path)


@pytest.mark.parametrize("name", sorted(bundled()))
def test_every_bundled_scenario_is_valid_and_says_what_it_is(name: str):
    assert load(name).description


def keys(**changes: object) -> Mapping[str, object]:
    return {**yaml.safe_load(MINIMAL), **changes}


def test_a_scenario_built_in_code_equals_the_one_loaded_from_a_file(tmp_path: Path):
    built = Scenario.build(keys(), tmp_path)
    assert built == load(written(tmp_path, MINIMAL))
    assert built.folder == tmp_path
    assert Scenario.build(keys()).folder == Path.cwd()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"referense": {}}, "scenario: referense: unknown key; did you mean 'reference'?"),
        ({"targets": ["large"]}, "scenario: targets[0]: 'large' is not an entry of models"),
        ({"tasks": {"reviews": {"kind": "text"}}}, "give exactly one of data, files and rows"),
        (
            {"endpoints": {"here": {"base_url": "http://x/v1", "api_key_env": "sk-0123456789abcdefghij"}}},
            "scenario: endpoints.here.api_key_env: looks like a secret",
        ),
    ],
)
def test_a_wrong_scenario_in_code_is_told_by_key(changes: Mapping[str, object], said: str):
    with pytest.raises(InputError) as caught:
        Scenario.build(keys(**changes))
    assert said in str(caught.value)


def test_rows_may_hold_what_would_be_a_secret_among_settings():
    row = {"text": "Is sk-0123456789abcdefghij a key?", "label": "yes", "token": "sk"}
    task = {"kind": "yes_no", "rows": [row]}
    scenario = Scenario.build(keys(tasks={"reviews": task}))
    assert scenario.tasks["reviews"].rows == [row]


def test_a_scenario_with_rows_moves_to_another_folder_with_them(tmp_path: Path):
    task = {"kind": "yes_no", "rows": [{"text": "Is it?", "label": "yes", "note": None}]}
    scenario = Scenario.build(keys(tasks={"reviews": task}), tmp_path)
    text = yaml.safe_dump(scenario.absolute().model_dump(mode="json", exclude_none=True))
    moved = load(written(tmp_path, text))
    assert moved.tasks == scenario.tasks
