"""The runs that a scenario with `compare` stands for."""

from pathlib import Path
from typing import NamedTuple

from .document import Document
from .load import build
from .scenario import Scenario


class Variant(NamedTuple):
    """One run of a comparison: `folder` is the name of its output folder within the comparison's."""

    folder: str
    scenario: Scenario


def variants(scenario: Scenario, cache: Path) -> list[Variant]:
    """Every variant with every seed, in the order of the file, all sharing the call ledger `cache`.

    A run is named `SCENARIO-VARIANT`. Raises InputError for a key that does not exist or a wrong value.
    """
    comparison = scenario.compare
    if comparison is None:
        return []
    found: list[Variant] = []
    for name, values in comparison.variants.items():
        for seed in comparison.seeds:
            data = scenario.model_dump(mode="json", exclude={"compare"}, exclude_defaults=True)
            where = f"compare.variants.{name}"
            document = Document(where, data)
            for key, value in values.items():
                document.set(tuple(key.split(".")), value, f"{where}.{key}")
            shared = {"name": f"{scenario.name}-{name}", "seed": seed, "cache": str(cache.absolute())}
            document.data.update(shared)
            found.append(Variant(f"{name}-{seed}", build(document, scenario.folder)))
    return found
