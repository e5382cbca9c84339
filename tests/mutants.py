"""Mutation testing of one part of the package by its own quick tests: `make mutants PART=budget`.

    python tests/mutants.py PART [MUTANT ...]

Copies the checkout to build/mutants/PART under the package's own name, writes mutmut's settings there, and
runs it; `mutmut results` and `mutmut show NAME` in that folder list and show what survived. Tests that start
or kill processes are left out: a process of theirs would wait for mutmut's. Ends with a line RESULT {json}.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

ROOT = Path(__file__).parent.parent
PACKAGE = "transfer_prompting"


class Part(msgspec.Struct, frozen=True):
    """Files that are mutated and their tests, from the root; `without` are tests that are left out, by words
    of their names."""

    files: tuple[str, ...]
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()


PARTS = {
    "search": Part(("runtime/search/*",), ("tests/runtime/search",)),
    "limits": Part(("runtime/llm/limits/*",), ("tests/runtime/llm/limits",)),
    "retries": Part(
        ("runtime/llm/retries.py", "runtime/llm/hedging.py"),
        ("tests/runtime/llm/retries", "tests/runtime/llm/test_hedging.py"),
        ("over_http",),
    ),
    "budget": Part(("runtime/llm/budget/*",), ("tests/runtime/llm/budget",)),
    "ledger": Part(("runtime/llm/ledger/*",), ("tests/runtime/llm/ledger",), ("kill_9", "process")),
    "parsers": Part(("runtime/tasks/answers/*",), ("tests/runtime/tasks/answers",), ("read_quickly",)),
    "metrics": Part(
        ("runtime/evaluation/*",),
        ("tests/runtime/evaluation",),
        ("test_light", "test_own_metrics"),
    ),
}


def settings(part: Part) -> dict[str, object]:
    """mutmut's settings for a part."""
    left_out = ["-k", " and ".join(f"not {word}" for word in part.without)] if part.without else []
    return {
        "source_paths": [PACKAGE],
        "only_mutate": [f"{PACKAGE}/{pattern}" for pattern in part.files],
        "pytest_add_cli_args": ["-c", f"{PACKAGE}/pyproject.toml", "-p", "no:cacheprovider", *left_out],
        "pytest_add_cli_args_test_selection": [f"{PACKAGE}/{path}" for path in part.tests],
        "use_git_change_detection": False,
        "track_dependencies": False,
    }


def copied(name: str, folder: Path) -> None:
    """The tracked files of the checkout in a fresh folder, with the settings of a part beside them."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for path in filter(None, listed.decode().split("\0")):
        to = folder / PACKAGE / path
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, to)
    # mutmut reads tool.mutmut where it is started, pytest the project's own file below.
    lines = [
        "[tool.mutmut]",
        *(f"{key} = {json.dumps(value)}" for key, value in settings(PARTS[name]).items()),
    ]
    (folder / "pyproject.toml").write_text("\n".join(lines), encoding="utf-8")


def main() -> int:
    """Run a part; the exit code of mutmut."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("mutants", nargs="*", help="patterns of names; default: all")
    given = parser.parse_args()
    folder = ROOT / "build" / "mutants" / given.part
    copied(given.part, folder)
    mutmut = [sys.executable, "-m", "mutmut"]
    command = [*mutmut, "run", "--max-children", "1", *given.mutants]
    code = subprocess.run(command, check=False, cwd=folder).returncode
    subprocess.run([*mutmut, "export-cicd-stats"], check=False, cwd=folder, stdout=subprocess.DEVNULL)
    stats = folder / "mutants" / "mutmut-cicd-stats.json"
    if stats.exists():
        print("RESULT", json.dumps({"part": given.part, **json.loads(stats.read_text())}))
    return code


if __name__ == "__main__":
    sys.exit(main())
