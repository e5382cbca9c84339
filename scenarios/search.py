"""How candidates are proposed, raced and compared."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from .strict import Strict

StrategyName = Literal["transfer", "opro", "evolution", "reflect", "ask", "original"]
RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Names a run, or ends the name of one; it also names a folder."""


class Race(Strict):
    """How a step's candidates meet on train rows, so that those that cannot win stop early."""

    method: Literal["halving", "paired", "both", "none"] = Field(
        default="both",
        description="Successive halving, a paired test, both, or every candidate on every row. An objective "
        "that weighs judged qualities or own metrics means `none`: they are not known row by row.",
    )
    block: PositiveInt = Field(
        default=8, description="Rows of each task that every candidate answers before it may be stopped."
    )
    alpha: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="Level of the paired test: the chance that a candidate as good as the best is stopped.",
    )


class Comparison(Strict):
    """Runs of one scenario with different settings and seeds, lined up in a table."""

    variants: dict[RunName, dict[str, object]] = Field(
        min_length=1,
        description="By name, which ends the names of its runs: values that differ, by key path. The others "
        "are held against the first.",
        examples=[{"transfer": {}, "opro": {"strategy": "opro"}}],
        json_schema_extra={"additionalProperties": False},
    )
    seeds: list[int] = Field(
        default=[1, 2, 3], min_length=1, description="Every variant runs once with each."
    )
