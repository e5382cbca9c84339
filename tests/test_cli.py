"""The command line as people run it: exit codes, messages, files."""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

import anyio
import msgspec
import pytest
from rich.console import Console
from typer.main import get_command
from typer.testing import CliRunner

from transfer_prompting.cli.app import app
from transfer_prompting.cli.summary import parse_threshold, shortfalls, summary
from transfer_prompting.runtime.evaluation.scorecard import Gain
from transfer_prompting.runtime.record.results import Targets, in_folder
from transfer_prompting.runtime.tasks.presets import Preset, presets
from transfer_prompting.scenarios.errors import InputError

from support.commands import told, tprompt
from support.finished import write_run
from support.runs import scenario_data, simulated, write_scenario

SCRIPT = Path(sys.executable).with_name("tprompt")


async def test_a_run_ends_with_0_and_prints_original_against_best(tmp_path: Path):
    async with simulated(tmp_path):
        done = await tprompt("run", tmp_path / "scenario.yaml", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "tickets · small: held-out test, 40 rows" in done.stdout
    assert "simulated: complete" in done.stdout
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["schema"] == 2
    assert results["targets"][0]["best"]["scorecard"]["n"] == 40


async def test_report_prints_the_summary_again(tmp_path: Path):
    write_run(tmp_path / "out")
    done = await tprompt("report", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("held-out test of 2 targets: original → best prompt")
    assert "Balanced accuracy" not in done.stdout
    assert "Balanced accuracy" in (await tprompt("report", tmp_path / "out", "-v")).stdout


async def test_report_builds_the_page_again(tmp_path: Path):
    write_run(tmp_path / "out")
    page = tmp_path / "out" / "report.html"
    written = page.read_text()
    page.unlink()
    done = await tprompt("report", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert str(page) in done.stdout
    assert page.read_text() == written


@pytest.mark.parametrize("command", ["report", "compare", "export"])
async def test_results_of_an_earlier_version_are_refused_in_words(tmp_path: Path, command: str):
    (tmp_path / "results.json").write_text('{"schema": 1, "name": "old", "status": "complete", "seed": 1}')
    assert "made by an earlier version" in told(await tprompt(command, tmp_path), 2)


async def test_view_writes_one_page_for_all_runs(tmp_path: Path):
    write_run(tmp_path / "runs" / "one", models=("small",))
    done = await tprompt("view", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "runs" / "index.html") in done.stdout
    assert "one/report.html" in (tmp_path / "runs" / "index.html").read_text()
    assert "no run here" in told(await tprompt("view", tmp_path / "none"), 2)


@pytest.mark.parametrize(
    ("form", "mark"),
    [("csv", "task,model,metric"), ("markdown", "| data set"), ("latex", r"\toprule"), ("html", "<table>")],
)
async def test_compare_writes_tables_for_papers(tmp_path: Path, form: str, mark: str):
    for seed in (1, 2):
        write_run(tmp_path / f"{seed}", seed=seed, models=("small",), page=False)
    done = await tprompt("compare", tmp_path, "--format", form, "--metrics", "accuracy")
    assert done.returncode == 0, done.stderr
    assert mark in done.stdout
    assert "ECE" not in done.stdout


async def test_compare_names_the_nearest_metric(tmp_path: Path):
    write_run(tmp_path, page=False)
    assert "did you mean 'accuracy'" in told(await tprompt("compare", tmp_path, "--metrics", "acuracy"), 2)


def test_the_summary_fits_80_columns(tmp_path: Path):
    write_run(tmp_path / "out", models=("small", "a-model-with-a-rather-long-name"), page=False)
    console = Console(width=80, no_color=True)
    for verbose in (False, True):
        with console.capture() as shown:
            console.print(summary(in_folder(tmp_path / "out"), verbose=verbose))
        lines = shown.get().splitlines()
        assert max(map(len, lines)) <= 80
        assert "…" not in shown.get()
        assert any("p (Holm)" in line for line in lines)


def test_a_kept_original_is_shown_without_differences(tmp_path: Path):
    found = write_run(tmp_path / "out", models=("small",), page=False)
    (target,) = found.targets
    gain = {name: Gain(0.0, 0.0, 0.0, 1.0) for name in target.gain}
    kept = msgspec.structs.replace(target, best=target.baseline, gain=gain)
    console = Console(width=80, no_color=True)
    with console.capture() as shown:
        console.print(summary(msgspec.structs.replace(found, targets=Targets([kept]))))
    said = " ".join(shown.get().split())
    assert "original kept" in said
    assert "the original is kept" in said
    assert "difference" not in said
    assert "[0.000" not in said


@pytest.mark.parametrize(
    ("metric", "least", "missed"),
    [("objective", 0.02, 0), ("accuracy", 0.9, 2), ("ece", -1.0, 0), ("auroc", 0.99, 2)],
)
def test_a_gain_below_the_threshold_is_named_target_by_target(
    tmp_path: Path, metric: str, least: float, missed: int
):
    results = write_run(tmp_path, page=False)
    lines = list(shortfalls(results, metric, least))
    assert len(lines) == missed
    assert all(metric in line and f"below {least}" in line for line in lines)


def test_a_threshold_is_a_metric_and_a_number():
    assert parse_threshold("gain=0.02") == ("objective", 0.02)
    assert parse_threshold("accuracy=-0.1") == ("accuracy", -0.1)
    with pytest.raises(InputError, match="did you mean 'accuracy'"):
        parse_threshold("acuracy=0")
    with pytest.raises(InputError, match="METRIC=NUMBER"):
        parse_threshold("gain")


async def test_help_imports_nothing_that_it_does_not_show():
    heavy = {"numpy", "scipy", "pydantic", "aiohttp", "sqlite3", "yaml", "msgspec", "anyio"}
    code = (
        "import sys; from typer.testing import CliRunner; from transfer_prompting.cli.app import app;"
        "CliRunner().invoke(app, ['--help']); print(*sys.modules)"
    )
    with anyio.fail_after(60):
        done = await anyio.run_process([sys.executable, "-c", code])
    assert not heavy & set(done.stdout.decode().split())


async def test_the_default_folder_is_runs_name(tmp_path: Path):
    async with simulated(tmp_path):
        done = await tprompt("run", "scenario.yaml", "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "simulated" / "results.json").is_file()


async def test_a_budget_that_cuts_the_steps_short_ends_with_3(tmp_path: Path):
    async with simulated(tmp_path):
        changes = ["--set", "budget.calls=400", "--set", "stages.target.steps=500"]
        done = await tprompt("run", tmp_path / "scenario.yaml", "--out", tmp_path / "out", *changes)
    assert done.returncode == 3, done.stdout + done.stderr
    assert json.loads((tmp_path / "out" / "results.json").read_text())["status"] == "budget"


async def test_an_unreachable_endpoint_ends_with_1_and_one_message(tmp_path: Path):
    write_scenario(tmp_path, scenario_data("http://127.0.0.1:9/v1"))
    message = told(await tprompt("run", tmp_path / "scenario.yaml", "--out", tmp_path / "out"), 1)
    assert "http://127.0.0.1:9/v1 cannot be reached" in message.replace("\n", " ")
    assert "server" in message


async def test_validate_checks_the_data_and_makes_no_call(tmp_path: Path):
    async with simulated(tmp_path) as (_, _, server):
        done = await tprompt("validate", tmp_path / "scenario.yaml")
        assert server.count == 0
    assert done.returncode == 0, done.stderr
    assert "tickets: classification; 20 train, 20 validation, 40 test" in done.stdout
    assert "simulated: valid" in done.stdout


async def test_validate_warns_of_a_cap_in_dollars_that_a_model_without_a_price_escapes(tmp_path: Path):
    path = write_scenario(tmp_path, scenario_data("http://127.0.0.1:9/v1", budget={"usd": 1}))
    done = await tprompt("validate", path)
    assert done.returncode == 0, done.stderr
    assert "! budget.usd excludes model 'writer': it has no price" in done.stdout


async def test_the_console_script_finds_metrics_beside_the_scenario(tmp_path: Path):
    scorer = {"metrics": ["shop.metrics:brevity"]}
    write_scenario(tmp_path, scenario_data("http://127.0.0.1:9/v1", scorer=scorer))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "metrics.py").write_text("def brevity(rows): return None")
    with anyio.fail_after(60):
        command = [SCRIPT, "validate", tmp_path / "scenario.yaml"]
        refused = await anyio.run_process(command, check=False)
        done = await anyio.run_process([*command, "--allow-code"], check=False)
    assert refused.returncode == 2
    assert b"--allow-code" in refused.stderr
    assert done.returncode == 0, done.stderr


async def test_a_metrics_module_that_exits_does_not_end_the_command_as_done(tmp_path: Path):
    scorer = {"metrics": ["exiting:f"]}
    path = write_scenario(tmp_path, scenario_data("http://127.0.0.1:9/v1", scorer=scorer))
    (tmp_path / "exiting.py").write_text("raise SystemExit(0)")
    for command in ("validate", "plan", "run"):
        done = await tprompt(command, path, "--allow-code")
        assert done.returncode == 2, done.stderr
        assert "exiting:f: module exiting raised SystemExit" in " ".join(done.stderr.split())


WRONG = [
    ("endpoints.server.timout=3", "did you mean 'timeout'"),
    ("tasks.tickets.data=none.jsonl", "none.jsonl"),
    ("tasks.tickets.labels=[urgent, other]", "tickets.jsonl:2"),
    ("tasks.tickets.split={train: 60, validation: 20, test: 0}", "test"),
    ("tasks.tickets.split={train: 60, validation: 20, test: 40}", "tasks.tickets"),
    ("scorer.objective={accurcy: 1}", "accuracy"),
    ("reference.operators=[impruve]", "improve"),
    ("endpoints.server.api_key_env=TPROMPT_NO_SUCH_KEY", "TPROMPT_NO_SUCH_KEY"),
    ("tasks.tickets.read=likelihood", "tasks.tickets: needs log-probabilities"),
    ("compare={variants: {plain: {}, mine: {stratgy: opro}}}", "compare.variants.mine: stratgy"),
    ("compare={variants: {plain: {}, mine: {race.alpha: 2}}}", "compare.variants.mine: race.alpha"),
]


@pytest.mark.parametrize(("override", "named"), WRONG)
@pytest.mark.parametrize("command", ["validate", "run"])
async def test_a_wrong_scenario_ends_with_2_and_names_what_is_wrong(
    tmp_path: Path, command: str, override: str, named: str
):
    async with simulated(tmp_path) as (_, _, server):
        done = await tprompt(command, "scenario.yaml", "--set", override, cwd=tmp_path)
        assert server.count == 0
    assert named in told(done, 2)


async def test_a_broken_data_line_is_named_with_its_file_and_line(tmp_path: Path):
    async with simulated(tmp_path):
        data = tmp_path / "tickets.jsonl"
        lines = data.read_text().splitlines()
        data.write_text("\n".join([*lines[:6], '{"text": "cut', *lines[7:]]))
        done = await tprompt("validate", "scenario.yaml", cwd=tmp_path)
    assert "tickets.jsonl:7" in told(done, 2)


async def test_a_folder_that_holds_another_run_is_refused(tmp_path: Path):
    async with simulated(tmp_path):
        await tprompt("run", "scenario.yaml", "--out", "out", "-q", cwd=tmp_path)
        done = await tprompt("run", "scenario.yaml", "--out", "out", "--set", "name=other", cwd=tmp_path)
    assert "holds a run of 'simulated'" in told(done, 2)


async def test_report_of_a_folder_without_results_says_so(tmp_path: Path):
    assert "no results here" in told(await tprompt("report", tmp_path), 2)


async def test_schema_is_json_schema_with_descriptions():
    done = await tprompt("schema")
    schema = json.loads(done.stdout)
    assert schema["title"] == "Scenario"
    assert schema["properties"]["seed"]["description"]


async def test_help_shows_how_to_start():
    done = await tprompt("--help")
    assert "tprompt run quickstart" in done.stdout


async def test_json_is_one_event_a_line_and_ends_with_the_path_of_the_results(tmp_path: Path):
    async with simulated(tmp_path):
        done = await tprompt("run", "scenario.yaml", "--out", "out", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [line["type"] for line in lines]
    assert kinds[0] == "RunStarted"
    assert {"CandidatesProposed", "PromptScored", "BatchAnswered", "TargetTested"} <= set(kinds)
    assert kinds[-2:] == ["RunEnded", "RunWritten"]
    assert lines[-1] == {"type": "RunWritten", "status": "complete", "results": "out/results.json"}
    assert done.stderr == ""


@pytest.mark.parametrize("name", [*getattr(get_command(app), "commands")])  # noqa: B009 - untyped in Typer
def test_every_command_shows_an_example_in_its_help(name: str):
    shown = CliRunner().invoke(app, [name, "--help"]).output
    assert f"tprompt {name}" in shown.partition("Example")[2]


def printed(*arguments: str) -> str:
    """What a command prints at 80 columns."""
    return CliRunner().invoke(app, [*arguments], env={"COLUMNS": "80", "NO_COLOR": "1"}).output


def test_the_presets_are_readable_at_80_columns():
    lines = [line.rstrip() for line in printed("presets").splitlines()]
    assert max(len(line) for line in lines) <= 80
    for preset in presets():
        rows = [line for line in lines if line.startswith(f"  {preset.name} ")]
        assert [line.split()[1] for line in rows] == [preset.kind]
        assert preset.domain in lines
    assert "…" not in "".join(lines)
    assert "`data` or `files`" in lines[-1]


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset.name)
def test_one_preset_is_shown_with_source_and_licence(preset: Preset):
    words = printed("presets", preset.name).split()
    for text in (preset.source, preset.licence, preset.prompt):
        assert set(text.split()) <= set(words)


async def test_a_mistyped_preset_is_told_the_nearest():
    assert "no preset 'bolq'; did you mean 'boolq'" in told(await tprompt("presets", "bolq"), 2)


def test_a_plan_shows_a_cost_only_where_prices_are_known(tmp_path: Path):
    path = str(write_scenario(tmp_path, scenario_data("http://127.0.0.1:9/v1")))
    free = printed("plan", path)
    assert "USD" not in free
    assert "no prices given, so the cost is not estimated" in " ".join(free.split())
    paid = printed("plan", path, "--set", "models.small.price={input_per_million: 1.0}")
    assert "USD" in paid
    assert "not included: writer" in " ".join(paid.split())


def test_paragraphs_of_help_fill_the_width_of_the_terminal():
    lines = [line.strip() for line in printed("run", "--help").splitlines()]
    first = next(line for line in lines if line.startswith("Finished calls are replayed"))
    assert lines[lines.index(first) + 1].startswith("Ctrl-C lets calls in flight finish and writes")


def test_lists_in_the_examples_of_help_are_shown_whole():
    shown = CliRunner().invoke(app, ["plan", "--help"]).output
    assert "--set targets='[small, large]'" in shown


async def test_the_version_is_that_of_the_package():
    assert (await tprompt("--version")).stdout == f"tprompt {version('transfer-prompting')}\n"


async def test_the_shell_completes_bundled_names_and_files(tmp_path: Path):
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "notes.txt").touch()

    async def completed(words: str) -> list[str]:
        environment = {**os.environ, "_TPROMPT_COMPLETE": "complete_bash", "COMP_WORDS": words}
        environment["COMP_CWORD"] = str(words.count(" "))
        with anyio.fail_after(60):
            done = await anyio.run_process([SCRIPT], cwd=tmp_path, env=environment)
        return done.stdout.decode().split()

    assert await completed("tprompt run qu") == ["quickstart"]
    assert await completed("tprompt run m") == ["mine.yaml"]
    assert "validate" in await completed("tprompt va")


async def test_quiet_prints_the_summary_only(tmp_path: Path):
    async with simulated(tmp_path):
        dollars = ("--set", "budget.usd=1")
        done = await tprompt("run", "scenario.yaml", "--out", "out", "--quiet", *dollars, cwd=tmp_path)
    assert "best so far" not in done.stdout
    assert done.stdout.startswith("held-out test of 1 target")
    assert "! budget.usd excludes model 'writer': it has no price" in done.stderr


async def test_a_comparison_runs_every_variant_and_lines_them_up(tmp_path: Path):
    compare = {"variants": {"transfer": {}, "original": {"strategy": "original"}}, "seeds": [1, 2]}
    async with simulated(tmp_path, compare=compare):
        done = await tprompt("run", tmp_path / "scenario.yaml", "--out", tmp_path / "out", "-q")
        again = await tprompt("compare", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    folders = {path.parent.name for path in (tmp_path / "out").glob("*/results.json")}
    assert folders == {"transfer-1", "transfer-2", "original-1", "original-2"}
    for shown in (done.stdout, again.stdout):
        head = next(line for line in shown.splitlines() if "metric" in line)
        assert head.replace("┃", " ").split() == ["metric", "transfer", "original", "original", "prompt"]
        assert "Objective" in shown


async def test_comparing_what_holds_no_run_is_bad_input(tmp_path: Path):
    assert "no results here" in told(await tprompt("compare", tmp_path), 2)
    page = tmp_path / "index.html"
    page.touch()
    assert f"{page}: a file" in told(await tprompt("compare", page), 2)
