"""The wheel: it holds the tree and nothing else, and works from a fresh environment."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SUFFIXES = {".py", ".md", ".yaml", ".json", ".jsonl", ".html", ".css", ".js"}
FLOORS = ("agents", "prompts", "runtime", "scenarios")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of what git tracks or would track."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    tracked = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    source = folder / "source"
    for name in tracked:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(source)]
    done = subprocess.run(build, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_module_and_data_file_of_the_tree(wheel: Path):
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {*(path.name for path in ROOT.glob("*.py")), "py.typed"}
    for floor in FLOORS:
        paths = (path for path in (ROOT / floor).rglob("*") if path.suffix in SUFFIXES)
        wanted |= {str(path.relative_to(ROOT)) for path in paths}
    assert {f"transfer_prompting/{name}" for name in wanted} <= inside


def test_the_wheel_puts_one_name_at_the_top_level(wheel: Path):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"transfer_prompting"}


def test_the_wheel_carries_no_tests(wheel: Path):
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if "/tests/" in name]


def test_an_installed_wheel_lists_its_scenarios_from_any_folder(wheel: Path, tmp_path: Path):
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet"]
    install = [*pip, "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    code = (
        "import sys, transfer_prompting as tp; assert 'site' in tp.__file__, tp.__file__;"
        "from transfer_prompting.__main__ import main;"
        "sys.argv = ['tprompt', 'validate', 'quickstart']; main()"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert "quickstart: valid" in run.stdout, run.stdout + run.stderr
