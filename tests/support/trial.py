"""Documentation tried out: what a page shows is done in a folder, against a stand-in for the provider."""

import csv
import gzip
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import anyio
import yaml
from jsonschema import Draft202012Validator
from typer.main import get_command

from transfer_prompting.cli.app import app
from transfer_prompting.scenarios.scenario import json_schema

from .chat_server import ChatServer
from .forked import run_python
from .pages import ANY, Block, Step, alike, steps

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RECORDED = ROOT / "tests" / "recorded"
PROVIDER = "https://api.openai.com/v1"
COMMANDS = getattr(get_command(app), "commands")  # noqa: B009 - Typer keeps it untyped
SCHEMA = yaml.safe_load(json_schema())


class Trial:
    """A page on trial: its folder with the data it speaks of, and a stand-in for the provider."""

    def __init__(self, folder: Path, server: ChatServer) -> None:
        self._folder = folder
        self._server = server
        data = files("transfer_prompting.scenarios").joinpath("data")
        rows = [json.loads(line) for line in data.joinpath("tickets.jsonl").read_text("utf-8").splitlines()]
        shutil.copy(str(data.joinpath("reviews.jsonl")), folder)
        with (folder / "tickets.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerows([("body", "priority"), *((row["text"], row["label"]) for row in rows)])

    async def take(self, block: Block) -> None:
        if block.not_run is not None or block.kind == "sh":
            check_commands(block)
        elif block.kind == "console":
            await self._compare(block)
        elif block.kind == "python" and block.title is not None:
            (self._folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.kind == "python":
            out, code = await self._python("-c", self._local(block.text))
            assert code == 0, out
        elif block.kind == "yaml" and block.title is not None:
            (self._folder / block.title).write_text(self._local(block.text), encoding="utf-8")
        elif block.kind == "yaml":
            check_keys(block)

    async def printed(self, block: Block) -> list[tuple[Step, list[str]]]:
        """The lines that each command of a console block prints, addresses as the page has them.

        Those that tell every 30 s where a run stands are left out: they depend on the machine.
        """
        if block.recorded is not None:
            replay(block.recorded, self._folder)
        found: list[tuple[Step, list[str]]] = []
        for step in steps(block):
            out, _ = await self._command(step.command)
            lines = out.replace(self._server.base_url, PROVIDER).splitlines()
            found.append((step, without_progress(lines)))
        return found

    async def _compare(self, block: Block) -> None:
        for step, printed in await self.printed(block):
            same = alike if block.recorded is None else alike_but_for_cost
            assert same(step.shown, printed), "\n".join([f"$ {step.command}", *printed])

    def _local(self, text: str) -> str:
        """The text with the stand-in's address for the provider's."""
        return text.replace(PROVIDER, self._server.base_url)

    async def _command(self, command: str) -> tuple[str, int]:
        """What a command of a console block prints, and its exit code."""
        words = shlex.split(command)
        if words[0] == "tprompt" and not set(command) & set("|&;<>$*"):
            return await self._python("-m", "transfer_prompting", *words[1:])
        with anyio.fail_after(300):
            done = await anyio.run_process(
                ["bash", "-c", command], cwd=self._folder, env=self._environment, check=False, stderr=-2
            )
        return done.stdout.decode(), done.returncode

    async def _python(self, *arguments: str) -> tuple[str, int]:
        done = await run_python(
            *arguments, folder=self._folder, environment=self._environment, together=True, seconds=300
        )
        return done.stdout, done.returncode

    @property
    def _environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        provider = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": self._server.base_url}
        return {**os.environ, "PATH": path, "COLUMNS": "100", "NO_COLOR": "1", **provider}


def alike_but_for_cost(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """`alike`, whatever was paid and replayed."""
    cost = re.compile(r"\d+ calls paid, \d+ replayed|[\d,]+ tokens")
    return alike([cost.sub("N", line) for line in shown], [cost.sub("N", line) for line in printed])


def replay(name: str, folder: Path) -> None:
    """Put a recorded ledger where the run `runs/NAME` keeps its own."""
    run = folder / "runs" / name
    run.mkdir(parents=True)
    (run / "ledger.sqlite").write_bytes(gzip.decompress((RECORDED / f"{name}.sqlite.gz").read_bytes()))


def recorded_output(name: str) -> list[str]:
    """What the recorded run printed."""
    return without_progress((RECORDED / f"{name}.txt").read_text("utf-8").splitlines())


def without_progress(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if not line.startswith(f"{ANY} ")]


def check_keys(block: Block) -> None:
    """Each top-level key of a fragment is one of a scenario's, with a value that is allowed there."""
    for key, value in yaml.safe_load(block.text).items():
        part = {**SCHEMA["properties"][key], "$defs": SCHEMA["$defs"]}
        Draft202012Validator(part).validate(value)


def check_commands(block: Block) -> None:
    """Every `tprompt`, `make` and `pip install` of a block names what there is."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(re.split(r" [|>]", line.removeprefix("$ "))[0], comments=True)
        if words[:1] == ["tprompt"] and words[1:]:
            known = {name for one in COMMANDS[words[1]].params for name in (*one.opts, *one.secondary_opts)}
            used = {word.partition("=")[0] for word in words if word.startswith("-")}
            assert used <= {*known, "--help"}, line
        elif words[:1] == ["make"]:
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE), line
        elif extras := re.search(r"\[([a-z,]+)\]", line):
            declared = (ROOT / "pyproject.toml").read_text("utf-8")
            for extra in extras[1].split(","):
                assert re.search(rf"^{extra} = \[", declared, re.MULTILINE), line
