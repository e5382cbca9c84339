"""A task: its data, its answers, how they are asked for and read, and how its rows are split."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from .endpoints import Confidence, Count, Few, Strict
from .named_texts import PromptText
from .plugins import check_name

Kind = Literal[
    "multiple_choice",
    "classification",
    "labels",
    "yes_no",
    "yes_no_maybe",
    "numeric",
    "text",
    "extraction",
    "judged",
]
KnownFormat = Literal["lines", "json", "regex", "raw"]
KNOWN_FORMATS: tuple[KnownFormat, ...] = get_args(KnownFormat)


def _format(name: str) -> str:
    return check_name("format", name, KNOWN_FORMATS)


def _reader(name: str) -> str:
    return check_name("reader", name, ())


FormatKind = Annotated[
    str,
    AfterValidator(_format),
    WithJsonSchema({"anyOf": [{"enum": [*KNOWN_FORMATS]}, {"type": "string"}]}),
]
"""A format of the package, one of the user's own (`package.module:name`), or an entry point."""

ReaderName = Annotated[str, AfterValidator(_reader)]
Read = Literal["auto", "generate", "likelihood"]
Size = Annotated[int | float, Field(ge=0, le=1_000_000_000)]
Rows = Annotated[list[dict[str, JsonValue]], Field(min_length=1)]


class FieldSettings(Strict):
    """Names of a row's fields; a dotted path reaches inside (`question.stem`, `options.0`)."""

    question: str | None = Field(
        default=None,
        description="The field with the question or text; default: `question`, `text` or `input`.",
        examples=["question.stem"],
    )
    context: str | None = Field(
        default=None,
        description="A passage shown above the question; default: `context` or `passage`, if there.",
        examples=["passage"],
    )
    choices: str | list[str] | None = Field(
        default=None,
        description="One field with a list (or letter-to-text object) of options, or one field per option; "
        "default: `choices` or `options`.",
        examples=["options", ["opa", "opb", "opc", "opd"]],
    )
    answer: str | list[str] | None = Field(
        default=None,
        description="The field with the gold answer, or for `extraction` the fields to be found; default: "
        "`answer`, `label` or `target`.",
        examples=["priority", ["name", "amount"]],
    )
    id: str | None = Field(
        default=None,
        description="The field with a row id; default: the row's number.",
        examples=["ticket_id"],
    )


class FormatSettings(Strict):
    """The form of a reply, and where in it the answer is. A format's name alone stands for its defaults."""

    kind: FormatKind = Field(
        default="lines",
        description="`lines`: `Answer: …` and `Confidence: NN%`; `json`: one JSON object; `regex`: your own "
        "pattern; `raw`: the whole reply is the answer. Also one of your own, `package.module:name` or the "
        "name of an entry point.",
        examples=["json", "my_package.formats:Tagged"],
    )
    answer: str = Field(
        default="answer",
        description="For `json`: the dotted path of the answer; empty for the object itself.",
        examples=["result.label"],
    )
    confidence: str = Field(
        default="confidence",
        description="For `json`: the dotted path of the confidence.",
        examples=["result.score"],
    )
    pattern: str | None = Field(
        default=None,
        description="For `regex`: its group `answer`, its first group, or all it matches is the answer.",
        examples=["Label: (?P<answer>\\w+)"],
    )

    @model_validator(mode="after")
    def _has_pattern(self) -> Self:
        if (self.kind == "regex") != (self.pattern is not None):
            raise ValueError("a pattern belongs to kind: regex, and that needs one")
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(f"pattern {self.pattern!r} is no regular expression: {error}") from None
        return self


def _format_named(value: object) -> object:
    return {"kind": value} if isinstance(value, str) else value


Format = Annotated[
    FormatSettings, BeforeValidator(_format_named, json_schema_input_type=FormatKind | FormatSettings)
]


class SplitSettings(Strict):
    """Rows per split: counts, or shares of the whole when all are below 1. Seeded, stratified by label."""

    train: Size = Field(
        default=0.4, description="Compares candidates; the reference LLM may see these rows.", examples=[60]
    )
    validation: Size = Field(
        default=0.3,
        description="Compares candidates; the reference LLM never sees these rows.",
        examples=[40],
    )
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


class SplitFilesSettings(Strict):
    """Predefined splits: each from its own file (or glob)."""

    train: str = Field(description="Path, glob or hf:// address of the train rows.", examples=["train.jsonl"])
    validation: str | None = Field(
        default=None,
        description="Of the validation rows; default: half of train, seeded and stratified.",
        examples=["dev.jsonl"],
    )
    test: str = Field(description="Of the test rows.", examples=["test.jsonl"])


class SplitRowsSettings(Strict):
    """Predefined splits, the rows themselves."""

    train: Rows = Field(description="The train rows.", examples=[[{"text": "A delight.", "label": "good"}]])
    validation: Rows | None = Field(
        default=None,
        description="The validation rows; default: half of train, seeded and stratified.",
        examples=[[{"text": "Dull.", "label": "bad"}]],
    )
    test: Rows = Field(description="The test rows.", examples=[[{"text": "Fine.", "label": "good"}]])


class TaskSettings(Strict):
    """One task: data, kind of answer, and how it is asked and read."""

    data: str | list[str] | None = Field(
        default=None,
        description="Path, glob or hf:// address; relative to the scenario file.",
        examples=["data/reviews.jsonl", "hf://org/name?config=main&split=test"],
    )
    reader: ReaderName | None = Field(
        default=None,
        description="A function of your own that reads `data` (or `files`): `package.module:name`, or the "
        "name of an entry point. Default: by the extension.",
        examples=["my_package.readers:tickets"],
    )
    files: SplitFilesSettings | None = Field(
        default=None,
        description="Instead of `data`: one file per split.",
        examples=[{"train": "train.jsonl", "test": "test.jsonl"}],
    )
    rows: Rows | SplitRowsSettings | None = Field(
        default=None,
        description="Instead of `data`: the rows themselves, or the rows of each split.",
        examples=[[{"text": "A delight.", "label": "good"}, {"text": "Dull.", "label": "bad"}]],
    )
    preset: str | None = Field(
        default=None,
        description="A named mapping of a public set; see `tprompt presets`.",
        examples=["logiqa"],
    )
    kind: Kind | None = Field(default=None, description="Kind of answer; default: the preset's.")
    description: str | None = Field(
        default=None,
        description="The task in a sentence or two; the reference LLM reads it.",
        examples=["Decide whether a support ticket is urgent or routine."],
    )
    prompt: PromptText | None = Field(
        default=None,
        description="The original prompt of this task, the baseline: a text, or the path of a `.md` or "
        "`.txt` file. It may hold `{field}` variables, which the row's fields replace, and chat turns under "
        "lines `## system` and `## user`. For an application with several prompts: its texts by name. "
        "Default: the preset's, else the first seed prompt.",
        examples=["Is this ticket urgent?", "prompts/triage.md"],
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
    fields: FieldSettings = Field(default_factory=FieldSettings, description="Names of a row's fields.")
    template: str | None = Field(
        default=None,
        description="Text of the question, with {field} placeholders for the fields of a row.",
        examples=["{title}\n{body}"],
    )
    frame: Literal["full", "none"] = Field(
        default="full",
        description="`none`: nothing is added to the prompt, neither the allowed answers nor the format.",
    )
    format: Format = Field(
        default_factory=FormatSettings,
        description="The form of a reply, and where in it the answer is; default: `lines`.",
        examples=["json", {"kind": "regex", "pattern": "Label: (?P<answer>\\w+)"}],
    )
    credit: Literal["exact", "partial"] | None = Field(
        default=None,
        description="Credit of an answer that is right in part: shared words of `text`, F1 of `labels`, "
        "fields of `extraction`; default: `exact` for `labels`, `partial` for the others.",
    )
    read: Read = Field(
        default="auto", description="Way to get an answer: generated and parsed, or by label likelihood."
    )
    confidence: Confidence = Field(
        default="auto",
        description="Source of the confidence in an answer; `auto`: the model's own setting.",
    )
    samples: Few = Field(default=5, description="Samples per row where confidence is `agreement`.")
    max_tokens: Count | None = Field(
        default=None,
        description="Most tokens of one answer; default: 64 for closed answers, 512 for open ones.",
        examples=[128],
    )
    on_bad_row: Literal["error", "skip"] = Field(
        default="error", description="Rows that cannot be used: end with a message, or skip and count them."
    )
    limit: Count | None = Field(default=None, description="Use at most this many rows.", examples=[500])
    shuffle: bool = Field(default=True, description="Shuffle (seeded) before `limit` and `split`.")
    split: SplitSettings = Field(
        default_factory=SplitSettings, description="Division of the rows; counts, or shares of the whole."
    )
    few_labels: int = Field(
        default=1,
        ge=0,
        le=1_000_000,
        description="Fewest rows of each label a split must hold to be accepted.",
    )

    @field_validator("labels", "synonyms", mode="before")
    @classmethod
    def _of_text(cls, value: Any) -> Any:
        if isinstance(value, dict):
            entries = cast("dict[object, object]", value)
            words = [*entries, *(one for one in entries.values() if not isinstance(one, list))]
        else:
            words = cast("list[object]", value) if isinstance(value, list) else []
        for word in words:
            if isinstance(word, bool | int | float):
                raise ValueError(
                    f"{word!r} is no text: YAML reads yes, no, on, off, true, false and numbers as other "
                    'than text; put it in quotes, as in "yes"'
                )
        return value

    def at(self, folder: Path) -> Self:
        """The same task with its relative paths made absolute, starting at `folder`."""
        if self.prompt is not None and names_file(self.prompt):
            return self.model_copy(update={"prompt": str(folder.absolute() / self.prompt)})._data_at(folder)
        return self._data_at(folder)

    def _data_at(self, folder: Path) -> Self:
        if self.files is not None:
            files = {key: _at(folder, value) for key, value in self.files.model_dump().items() if value}
            return self.model_copy(update={"files": SplitFilesSettings(**files)})
        if self.rows is not None:
            return self
        data = self.data
        paths = [_at(folder, path) for path in data] if isinstance(data, list) else _at(folder, data or "")
        return self.model_copy(update={"data": paths})

    @model_validator(mode="after")
    def _has_data(self) -> Self:
        if [self.data, self.files, self.rows].count(None) != 2:
            raise ValueError("give exactly one of data, files and rows")
        if self.reader is not None and self.rows is not None:
            raise ValueError("reader: reads data or files, and rows are given; remove it")
        if self.kind is None and self.preset is None:
            raise ValueError("give kind, or a preset that sets it")
        if isinstance(self.fields.answer, list) and self.kind != "extraction":
            raise ValueError("fields.answer: several fields are for kind: extraction")
        return self


def _at(folder: Path, path: str) -> str:
    return path if "://" in path else str(folder.absolute() / path)


def names_file(prompt: str) -> bool:
    """True when a prompt is the path of a file that holds it: one line that ends in `.md` or `.txt`."""
    return re.fullmatch(r"[^\n{}]{1,300}\.(?:md|txt)", prompt.strip(), re.IGNORECASE) is not None
