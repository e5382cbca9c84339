"""Mutation testing of one part of the package by its own quick tests: `make mutants PART=budget`.

    python tests/mutants.py PART [MUTANT ...] [--sample N]

Copies the checkout to build/mutants/PART under the package's own name, writes mutmut's settings there, and
runs it; `mutmut results` and `mutmut show NAME` in that folder list and show what survived. With `--sample`
a random N of the part's mutants are tried, the same ones each time. Tests that start or kill processes are
left out: a process of theirs would wait for mutmut's. Ends with a line RESULT {json}.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec

ROOT = Path(__file__).parent.parent
PACKAGE = "transfer_prompting"


class Part(msgspec.Struct, frozen=True):
    """Files that are mutated and their tests, from the root; `without` are tests that are left out, by words
    of their names: those with processes, and those that take seconds, for each mutant meets all of them."""

    files: tuple[str, ...]
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()


PARTS = {
    "search": Part(
        ("runtime/search/*",),
        ("tests/runtime/search",),
        ("asked_twice", "equal_results", "answers_more_rows", "expectations_are_finite", "everything_off"),
    ),
    "limits": Part(
        ("runtime/llm/limits/*",),
        (
            *(
                f"tests/runtime/llm/limits/test_{name}.py"
                for name in ("allowance", "evidence", "queue", "rates")
            ),
            "tests/embedding/test_shared_limits.py",
        ),
        ("twenty_teams",),
    ),
    "retries": Part(
        ("runtime/llm/retries.py", "runtime/llm/hedging.py"),
        ("tests/runtime/llm/retries", "tests/runtime/llm/test_hedging.py"),
        ("over_http",),
    ),
    "budget": Part(("runtime/llm/budget/*",), ("tests/runtime/llm/budget",)),
    "ledger": Part(
        ("runtime/llm/ledger/*",),
        ("tests/runtime/llm/ledger",),
        ("kill_9", "second_process", "processes_that", "keys_are_equal", "stranger"),
    ),
    "parsers": Part(
        ("runtime/tasks/answers/*",),
        (
            "tests/runtime/tasks/answers",
            "tests/runtime/evaluation/test_confidence.py",
            "tests/runtime/evaluation/test_grading.py",
        ),
        ("read_quickly", "without_end"),
    ),
    "metrics": Part(
        ("runtime/evaluation/*",),
        ("tests/runtime/evaluation", "tests/runtime/tasks/answers/test_formats.py"),
        ("test_light", "nineteen_of_twenty", "p_values_are_uniform"),
    ),
}


def settings(part: Part) -> dict[str, object]:
    """mutmut's settings for a part."""
    left_out = ["-k", " and ".join(f"not {word}" for word in part.without)] if part.without else []
    return {
        "source_paths": [PACKAGE],
        "only_mutate": [f"{PACKAGE}/{pattern}" for pattern in part.files],
        "pytest_add_cli_args": [
            "-c",
            f"{PACKAGE}/pyproject.toml",
            "-p",
            "no:cacheprovider",
            "-o",
            "timeout=600",
            "--hypothesis-profile",
            "few",
            *left_out,
        ],
        "pytest_add_cli_args_test_selection": [f"{PACKAGE}/{path}" for path in part.tests],
        "timeout_multiplier": 5.0,
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


OUTCOMES = {0: "survived", 1: "killed", 3: "killed", 5: "no_tests", 33: "no_tests", None: "not_tried"}
"""Exit codes of mutmut's trials; any other is that of a trial which was ended for its time."""


def outcomes(folder: Path) -> dict[str, str]:
    """The outcome of each mutant of a folder, by the mutant's name."""
    found = dict[str, str]()
    for path in sorted(folder.glob("mutants/**/*.meta")):
        codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        found |= {name: OUTCOMES.get(code, "timeout") for name, code in codes.items()}
    return found


def main() -> int:
    """Run a part; the exit code of mutmut."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("mutants", nargs="*", help="patterns of names; default: all")
    parser.add_argument("--sample", type=int, help="how many mutants are tried; default: all")
    given = parser.parse_args()
    folder = ROOT / "build" / "mutants" / given.part
    copied(given.part, folder)
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "2"]
    names = given.mutants
    if given.sample:
        # A name that no mutant has makes mutmut stop after it has written down which mutants there are.
        subprocess.run([*command, "-"], check=False, cwd=folder, capture_output=True)
        every = sorted(outcomes(folder))
        names = random.Random(1).sample(every, min(given.sample, len(every)))
    code = subprocess.run([*command, *names], check=False, cwd=folder).returncode
    found = outcomes(folder)
    for name, outcome in found.items():
        if outcome in ("survived", "no_tests"):
            print(outcome, name)
    print("RESULT", json.dumps({"part": given.part, "mutants": len(found), **Counter(found.values())}))
    return code


if __name__ == "__main__":
    sys.exit(main())
