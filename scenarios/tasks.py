"""What is asked: a task's data, its answers, how they are read, and how its rows are split."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, NonNegativeInt, PositiveInt, model_validator

from .endpoints import Confidence, Strict

Kind = Literal["multiple_choice", "classification", "yes_no", "yes_no_maybe", "numeric", "text", "judged"]
Read = Literal["auto", "generate", "likelihood"]
Size = Annotated[int | float, Field(ge=0)]
Rows = Annotated[list[dict[str, JsonValue]], Field(min_length=1)]


class Fields(Strict):
    """Which field of a row is what; a dotted path reaches inside (`question.stem`, `options.0`)."""

    question: str | None = Field(
        default=None,
        description="The field with the question or text; left out: `question`, `text` or `input`.",
        examples=["question.stem"],
    )
    context: str | None = Field(
        default=None,
        description="A passage shown above the question; left out: `context` or `passage`, if there.",
        examples=["passage"],
    )
    choices: str | list[str] | None = Field(
        default=None,
        description="One field with a list (or letter-to-text object) of options, or one field per option; "
        "left out: `choices` or `options`.",
        examples=["options", ["opa", "opb", "opc", "opd"]],
    )
    answer: str | None = Field(
        default=None,
        description="The field with the gold answer; left out: `answer`, `label` or `target`.",
        examples=["priority"],
    )
    id: str | None = Field(
        default=None,
        description="The field with a row id; left out means: the row's number.",
        examples=["ticket_id"],
    )


class Split(Strict):
    """Rows per split: counts, or shares of the whole when all are below 1. Seeded, stratified by label."""

    train: Size = Field(
        default=0.4, description="Scores candidates; the reference LLM may see these rows.", examples=[60]
    )
    validation: Size = Field(default=0.3, description="Chooses among the finalists.", examples=[40])
    test: Size = Field(default=0.3, description="Used once, for the reported numbers.", examples=[100])

    @model_validator(mode="after")
    def _counts_or_shares(self) -> Self:
        sizes = (self.train, self.validation, self.test)
        if all(size <= 1 for size in sizes):
            if sum(sizes) > 1 + 1e-9:
                raise ValueError(f"shares add up to {sum(sizes):g}; they must be at most 1")
        elif any(size != int(size) for size in sizes):
            raise ValueError("give either three counts or three shares below 1, not a mixture")
        return self


class SplitFiles(Strict):
    """Predefined splits: each from its own file (or glob)."""

    train: str = Field(description="Path, glob or hf:// address of the train rows.", examples=["train.jsonl"])
    validation: str | None = Field(
        default=None,
        description="Of the validation rows; left out means: half of train, seeded and stratified.",
        examples=["dev.jsonl"],
    )
    test: str = Field(description="Of the test rows.", examples=["test.jsonl"])


class SplitRows(Strict):
    """Predefined splits, the rows themselves."""

    train: Rows = Field(description="The train rows.", examples=[[{"text": "A delight.", "label": "good"}]])
    validation: Rows | None = Field(
        default=None,
        description="The validation rows; left out means: half of train, seeded and stratified.",
        examples=[[{"text": "Dull.", "label": "bad"}]],
    )
    test: Rows = Field(description="The test rows.", examples=[[{"text": "Fine.", "label": "good"}]])


class Task(Strict):
    """One task: data, kind of answer, and how it is asked and read."""

    data: str | list[str] | None = Field(
        default=None,
        description="Path, glob or hf:// address; relative to the scenario file.",
        examples=["data/reviews.jsonl", "hf://org/name?config=main&split=test"],
    )
    files: SplitFiles | None = Field(
        default=None,
        description="Instead of `data`: one file per split.",
        examples=[{"train": "train.jsonl", "test": "test.jsonl"}],
    )
    rows: Rows | SplitRows | None = Field(
        default=None,
        description="Instead of `data`: the rows themselves, or the rows of each split.",
        examples=[[{"text": "A delight.", "label": "good"}, {"text": "Dull.", "label": "bad"}]],
    )
    preset: str | None = Field(
        default=None,
        description="A named mapping of a public set; see `tprompt presets`.",
        examples=["logiqa"],
    )
    kind: Kind | None = Field(default=None, description="Kind of answer; left out means: the preset's.")
    description: str | None = Field(
        default=None,
        description="What the task is, in a sentence or two; the reference LLM reads it.",
        examples=["Tell whether a support ticket is urgent or routine."],
    )
    prompt: str | None = Field(
        default=None,
        description="The original prompt of this task, the baseline; left out means: the preset's, else the "
        "first seed prompt.",
        examples=["Is this ticket urgent?"],
    )
    labels: list[str] | dict[str, str] | None = Field(
        default=None,
        description="The labels in order, or a mapping from the data's values to labels.",
        examples=[["routine", "urgent"], {"0": "negative", "1": "positive"}],
    )
    synonyms: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Other spellings of a label that the lenient parser accepts.",
        examples=[{"urgent": ["high", "critical"]}],
    )
    fields: Fields = Field(default_factory=Fields, description="Which field of a row is what.")
    template: str | None = Field(
        default=None,
        description="How a row becomes the question, with {field} placeholders.",
        examples=["{title}\n{body}"],
    )
    read: Read = Field(
        default="auto", description="How answers are read: generated and parsed, or by label likelihood."
    )
    confidence: Confidence = Field(
        default="auto",
        description="Where the confidence in an answer comes from; `auto`: as the model says.",
    )
    samples: PositiveInt = Field(default=5, description="Draws per row where confidence is `agreement`.")
    max_tokens: PositiveInt | None = Field(
        default=None,
        description="Most tokens of one answer; left out: 64 for closed answers, 512 for open ones.",
        examples=[128],
    )
    limit: PositiveInt | None = Field(default=None, description="Use at most this many rows.", examples=[500])
    shuffle: bool = Field(default=True, description="Shuffle (seeded) before `limit` and `split`.")
    split: Split = Field(
        default_factory=Split, description="How rows are shared out; counts, or shares of the whole."
    )
    few_labels: NonNegativeInt = Field(
        default=1, description="Fewest rows of each label a split must hold to be accepted."
    )

    def at(self, folder: Path) -> Self:
        """The same task with its relative paths made absolute, starting at `folder`."""
        if self.files is not None:
            files = {key: _at(folder, value) for key, value in self.files.model_dump().items() if value}
            return self.model_copy(update={"files": SplitFiles(**files)})
        if self.rows is not None:
            return self
        data = self.data
        paths = [_at(folder, path) for path in data] if isinstance(data, list) else _at(folder, data or "")
        return self.model_copy(update={"data": paths})

    @model_validator(mode="after")
    def _has_data(self) -> Self:
        if [self.data, self.files, self.rows].count(None) != 2:
            raise ValueError("give exactly one of data, files and rows")
        if self.kind is None and self.preset is None:
            raise ValueError("give kind, or a preset that sets it")
        return self


def _at(folder: Path, path: str) -> str:
    return path if "://" in path else str(folder.absolute() / path)
