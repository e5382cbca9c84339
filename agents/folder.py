"""The output folder of a run: whose it is, and the scenario it keeps."""

from pathlib import Path

import yaml

from ..runtime.errors import InputError
from ..scenarios import Scenario


def refuse_another_run(scenario: Scenario, out: Path) -> None:
    """Raises InputError when the folder holds a run of another scenario."""
    path = out / "scenario.yaml"
    if not path.is_file():
        return
    held = yaml.safe_load(path.read_text(encoding="utf-8"))
    name = held.get("name") if isinstance(held, dict) else None
    if name != scenario.name:
        raise InputError(f"{out} holds a run of {name!r}, not of {scenario.name!r}; choose another --out")


def save(scenario: Scenario, path: Path) -> None:
    """The scenario as resolved, runnable from any folder."""
    data = scenario.absolute().model_dump(mode="json", exclude_none=True)
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
