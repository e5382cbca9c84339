"""Roles, search settings, stages and the budget."""

from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from .endpoints import Count, Few, Misplaced, Seed, Strict, Tokens
from .named_texts import PromptText
from .plugins import check_name

KnownStrategy = Literal["transfer", "opro", "evolution", "reflect", "ask", "original"]
KNOWN_STRATEGIES: tuple[KnownStrategy, ...] = get_args(KnownStrategy)


def _strategy(name: str) -> str:
    return check_name("strategy", name, KNOWN_STRATEGIES)


StrategyName = Annotated[
    str,
    AfterValidator(_strategy),
    WithJsonSchema({"anyOf": [{"enum": [*KNOWN_STRATEGIES]}, {"type": "string"}]}),
]
"""A strategy of the package, one of the user's own (`package.module:name`), or an entry point."""

RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200)]
"""Names a run, or ends the name of one; it also names a folder."""


class RaceSettings(Strict):
    """Comparison of candidates on search rows (train and validation)."""

    method: Literal["adaptive", "full"] = Field(
        default="adaptive",
        description="`adaptive`: rows go to the candidates that may still win. `full`: every candidate "
        "answers every row.",
    )
    block: Few = Field(default=4, description="Rows of each task that one decision asks for.")


class ComparisonSettings(Strict):
    """Runs of one scenario with different settings and seeds, compared in a table."""

    variants: dict[RunName, dict[str, object]] = Field(
        default_factory=dict[str, dict[str, object]],
        description="By name, which ends the names of its runs: values that differ, by key path. The others "
        "are compared with the first. Default: the scenario as it is, once with each seed.",
        examples=[{"transfer": {}, "opro": {"strategy": "opro"}}],
        json_schema_extra={"additionalProperties": False},
    )
    seeds: list[Seed] = Field(
        default=[1, 2, 3], min_length=1, description="Every variant runs once with each."
    )


Weight = Annotated[float, Field(ge=0, le=1_000_000)]
Metric = Literal["accuracy", "ifr", "ece", "auroc", "auprc_p", "auprc_n"]
KnownQuality = Literal["relevance", "coherence", "quality", "instruction_following"]

DEFAULT_OBJECTIVE: dict[str, float] = {
    "accuracy": 0.4,
    "ifr": 0.2,
    "ece": 0.2,
    "auroc": 0.1,
    "auprc_p": 0.05,
    "auprc_n": 0.05,
}


class ReferenceSettings(Strict):
    """The reference LLM, which writes candidates."""

    model: str = Field(description="Name of an entry of `models`.", examples=["writer"])
    candidates_per_step: Few = Field(
        default=8, description="Candidates that one of `steps` stands for, where steps are capped."
    )
    candidates_per_reply: Few = Field(
        default=4, description="Candidates asked for in one reply; 1 for small models."
    )
    temperature: float = Field(
        default=1.0,
        ge=0,
        le=2,
        description="Sampling temperature at the start of a search; a model's own `temperature` has "
        "precedence.",
    )
    final_temperature: float | None = Field(
        default=None,
        ge=0,
        le=2,
        description="Temperature at the end of a search, reached evenly; default: the same.",
        examples=[0.5],
    )
    max_tokens: Count = Field(
        default=2000,
        description="Most tokens of a reply of the reference LLM; a model's own `max_tokens` has precedence.",
    )
    max_characters: Count = Field(default=2000, description="Longer candidates are refused.")
    history: Few = Field(default=10, description="Prompt-score pairs shown at most, ascending.")
    exemplars: int = Field(default=3, ge=0, le=1_000, description="Train exemplars shown in each request.")
    failures: int = Field(default=3, ge=0, le=1_000, description="Failure traces shown in each request.")
    operators: list[str] | None = Field(
        default=None,
        description="Ways to propose, used by strategy `transfer` only; default: `improve`, which stands for "
        "every `improve:FOCUS`, and `exemplify`, which adds train examples to the best prompt.",
        examples=[["improve"], ["rephrase", "specify", "shorten"]],
    )
    notes: bool | None = Field(
        default=None,
        description="`true`: the reference LLM keeps notes on what helped, carried from the source to the "
        "target stage; default: as the strategy does.",
        examples=[True],
    )
    population: Few = Field(
        default=8, description="Prompts that strategy `evolution` breeds from: the best so far."
    )
    positions: list[Literal["system", "before", "after"]] = Field(
        default_factory=lambda: ["system", "before", "after"],
        min_length=1,
        description="Allowed placements of a candidate's instruction.",
        examples=[["system"]],
    )


KNOWN_QUALITIES: tuple[KnownQuality, ...] = get_args(KnownQuality)
PROMPT_QUALITIES = ("prompt_clarity", "prompt_generality")


class QualitySettings(Strict):
    """A quality the judge rates from 1 to 5. A known one may be given by its name alone."""

    name: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$",
        description="`judged.NAME` in the objective.",
        examples=["relevance", "tone"],
    )
    rubric: str | None = Field(
        default=None,
        min_length=1,
        description="The question the judge answers; default: the rubric of a known quality.",
        examples=["Is it friendly without being familiar?"],
    )

    @model_validator(mode="after")
    def _has_rubric(self) -> Self:
        if self.name in PROMPT_QUALITIES:
            raise ValueError(f"{self.name} is what judge_prompt rates; choose another name")
        if self.rubric is None and self.name not in KNOWN_QUALITIES:
            raise ValueError(
                f"{self.name!r} is not one of {', '.join(KNOWN_QUALITIES)}; "
                f"give it as {{name: {self.name}, rubric: …}}"
            )
        return self


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


Judged = Annotated[
    QualitySettings, BeforeValidator(_named, json_schema_input_type=KnownQuality | QualitySettings)
]


class ScorerSettings(Strict):
    """The scorer: the objective, the judge, and who answers."""

    model: str | None = Field(
        default=None,
        description="Scorer LLM: the judge, and the proxy where answers is `scorer`.",
        examples=["writer"],
    )
    answers: Literal["targets", "scorer"] = Field(
        default="targets",
        description="Who answers the rows while searching: the target models, or the scorer LLM.",
    )
    objective: dict[str, Weight] = Field(
        default_factory=lambda: dict(DEFAULT_OBJECTIVE),
        description="Weights of the metrics; ECE enters as 1 - ECE, a judged rating r as (r - 1) / 4.",
        examples=[{"accuracy": 0.6, "judged.relevance": 0.2, "my_package.metrics:brevity": 0.2}],
    )
    judge: list[Judged] = Field(
        default_factory=list[QualitySettings],
        description="Qualities of responses that the judge rates from 1 to 5: while searching where the "
        "objective or `require` names one, else in the final test only.",
        examples=[["relevance", {"name": "tone", "rubric": "Is it friendly without being familiar?"}]],
    )
    judge_sample: Count = Field(
        default=10, description="Responses judged per prompt, task and model; the same rows for every prompt."
    )
    judge_prompt: bool = Field(
        default=False,
        description="Also rate each prompt itself, as judged.prompt_clarity and judged.prompt_generality.",
    )
    metrics: list[str] = Field(
        default_factory=list,
        description="Python functions to measure beside those that the objective or `require` names; "
        "`own.NAME` is an entry point of an installed package.",
        examples=[["my_package.metrics:brevity"], ["own.brevity"]],
    )
    max_failed: float = Field(
        default=0.02, ge=0, le=1, description="A prompt with a larger share of failed calls is not chosen."
    )
    ece_binning: Literal["width", "mass"] = Field(
        default="width", description="Ten bins of equal width, or of equal numbers of rows."
    )
    require: dict[str, float] = Field(
        default_factory=dict,
        description="Bounds on every task and model (floors; a ceiling where lower is better): the best that "
        "meets them all is chosen, and only where none does the best by objective.",
        examples=[{"ifr": 0.9, "ece": 0.15}],
    )

    @model_validator(mode="after")
    def _qualities_differ(self) -> Self:
        names = [quality.name for quality in self.judge]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise Misplaced(("judge",), f"{', '.join(twice)} is named twice")
        return self


class StageSettings(Strict):
    """Settings of both stages."""

    steps: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="Cap on new candidates, in rounds of `reference.candidates_per_step`; default: the "
        "budget decides.",
        examples=[4],
    )
    patience: Count | None = Field(
        default=None,
        description="Stop when so many steps' worth of candidates brought no better prompt; default: never.",
        examples=[2],
    )
    until: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Stop when the best prompt has answered every search row and its objective reaches this.",
        examples=[0.95],
    )


class SourceStageSettings(StageSettings):
    """Source prompt construction over the source tasks."""

    tasks: list[str] = Field(
        description="Names of source tasks; an empty list: no source stage.", examples=[["reviews", "topics"]]
    )
    keep: Few = Field(default=4, description="Source prompts carried over to the target stage.")
    share: float = Field(
        default=0.05, gt=0, lt=1, description="Most of the search budget that the source stage may take."
    )
    seed_prompts: list[PromptText] = Field(
        min_length=1,
        description="The original prompts: texts, or paths of `.md` or `.txt` files; of an application with "
        "several, each a mapping of texts by name.",
        examples=[["Which label fits this text?"], ["prompts/triage.md"]],
    )
    seed_position: Literal["system", "before", "after"] = Field(
        default="before",
        description="Placement of the original prompts: system turn, before or after the question.",
    )


class TargetStageSettings(StageSettings):
    """Target prompt generation for each target task and model."""

    tasks: list[str] = Field(min_length=1, description="Names of target tasks.", examples=[["tickets"]])
    transfer: int = Field(
        default=1,
        ge=0,
        le=1_000,
        description="Source prompts also tested without adaptation, for the transfer gap.",
    )
    matrix: bool = Field(
        default=False,
        description="Also test every best prompt on every other target task and model, and the originals.",
    )
    per_model: bool = Field(
        default=True, description="Optimise for each model, or one prompt for all of them."
    )
    offers: bool = Field(
        default=True,
        description="Searches of several targets learn from each other and offer each other good prompts.",
    )


class StagesSettings(Strict):
    """Source prompt construction, then target prompt generation."""

    source: SourceStageSettings = Field(description="Refines the original prompts on the source tasks.")
    target: TargetStageSettings = Field(
        description="Adapts the best source prompts to each target task and model."
    )


Effort = Literal["light", "medium", "heavy"]

EVALUATIONS: dict[Effort, int] = {"light": 300, "medium": 1000, "heavy": 3000}
"""Rows answered while searching, for each target task and model."""


class BudgetSettings(Strict):
    """Caps over the whole run, resumed invocations included; checked before each call is made.

    What the final test takes is reserved; all the rest is spent on the search.
    """

    auto: Effort | None = Field(
        default=None,
        description="Rows answered while searching for each target: light 300, medium 1,000, heavy 3,000; "
        "default where no other cap is given: light.",
        examples=["medium"],
    )
    evaluations: Count | None = Field(
        default=None,
        description="Rows answered by target models while searching; the final test and the reference LLM's "
        "calls do not count. No cap by default.",
        examples=[2000],
    )
    calls: Count | None = Field(
        default=None, description="HTTP calls, retries included. No cap by default.", examples=[20_000]
    )
    tokens: Tokens | None = Field(
        default=None, description="Prompt plus completion tokens. No cap by default.", examples=[5_000_000]
    )
    usd: Annotated[float, Field(gt=0, le=1_000_000_000)] | None = Field(
        default=None, description="US dollars at the models' prices. No cap by default.", examples=[5.0]
    )
    minutes: Annotated[float, Field(gt=0, le=10_000_000)] | None = Field(
        default=None, description="Minutes of all invocations together. No cap by default.", examples=[60]
    )

    @property
    def caps(self) -> dict[str, float]:
        """The caps that are set, by name."""
        named = {name: getattr(self, name) for name in ("evaluations", "calls", "tokens", "usd", "minutes")}
        return {name: float(cap) for name, cap in named.items() if cap is not None}

    def search_rows(self, targets: int) -> int | None:
        """The cap on rows answered while searching for so many targets; None where other caps decide."""
        if self.evaluations is not None:
            return self.evaluations
        if self.auto is None and any((self.calls, self.tokens, self.usd, self.minutes)):
            return None
        return targets * EVALUATIONS[self.auto or "light"]
