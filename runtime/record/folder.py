"""The output folder of a run: the files of an earlier invocation in it, and the scenario as resolved."""

from collections import deque
from pathlib import Path

import yaml

from ...scenarios import Scenario
from ...scenarios.document import parse, read_text
from ...scenarios.errors import InputError
from .files import make_folder, replace_file
from .responses import read_responses
from .results import refuse_damaged_results


def prepare_folder(scenario: Scenario, out: Path) -> None:
    """Make the folder. Raises InputError when it cannot be written to, holds a run of another scenario, or a
    damaged file that the run would write anew; the file is left as it is."""
    make_folder(out)
    path = out / "scenario.yaml"
    if path.exists():
        name = parse(read_text(path), str(path)).data.get("name")
        if name != scenario.name:
            raise InputError(f"{out} holds a run of {name!r}, not of {scenario.name!r}; choose another --out")
    refuse_damaged_results(out / "results.json")
    deque(read_responses(out / "responses.jsonl"), maxlen=0)


# libyaml's where PyYAML was built with it: ten times as fast over many inline rows.
_Dumper: type[yaml.SafeDumper] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def save(scenario: Scenario, path: Path) -> None:
    """The scenario as resolved, runnable from any folder."""
    data = scenario.absolute().model_dump(mode="json", exclude_none=True)
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    replace_file(path, text.encode())
