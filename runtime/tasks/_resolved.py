"""A task's settings with its preset's filled in."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from ...scenarios.errors import InputError, nearest
from ...scenarios.tasks import FieldSettings, Kind, TaskSettings, names_file
from .collect import Labels, Recipe
from .data import Shape, Values, whole
from .mapping import ANSWERS, QUESTIONS, Drop, Mapper, Raw, at, by_fields, has, required
from .presets import Preset, find_preset
from .template import foreign, variables

_TASKS: Mapping[str, str] = {
    "multiple_choice": "Choose the option that answers the question.",
    "classification": "Give each text its label.",
    "labels": "Give each text all labels that apply.",
    "yes_no": "Answer each question with yes or no.",
    "yes_no_maybe": "Answer each question with yes, no or maybe.",
    "numeric": "Answer each question with a number.",
    "text": "Answer each question in a few words.",
    "extraction": "Find the fields in each text.",
    "judged": "Answer each question in free text.",
}


class Settings(msgspec.Struct, frozen=True):
    """A task's settings, all defaults resolved."""

    name: str
    kind: Kind
    description: str
    prompt: str
    labels: Labels
    synonyms: Mapping[str, Sequence[str]]
    fields: FieldSettings
    template: str | None
    preset: Preset | None
    credit: str | None = None
    skip: bool = False

    @property
    def shape(self) -> Shape:
        return self.preset.shape if self.preset else Shape()

    def recipe(self, prefix: str = "") -> Recipe:
        """The recipe that turns this task's rows into examples."""
        return Recipe(
            self.name, self._mapper, self._variables, self.kind, self.labels, prefix, skip=self.skip
        )

    def _variables(self, first: Values) -> tuple[str, ...]:
        """The fields of the rows that the prompt shows.

        Other names in braces are sent as they are. Raises InputError where one of them is nearly the name of
        a field, for the field with the answer, and for a field in a placeholder of another syntax.
        """
        for name, written in foreign(self.prompt).items():
            if has(first, name):
                raise InputError(
                    f"tasks.{self.name}.prompt: {written} looks like a placeholder of another syntax for the "
                    f"field {name!r}; write {{{name}}}"
                )
        names = sorted(variables(self.prompt))
        found = tuple(name for name in names if has(first, name))
        for name in (name for name in names if name not in found):
            hint = nearest(name, first, cutoff=0.75)
            if hint.startswith("did you mean"):
                raise InputError(f"tasks.{self.name}.prompt: {{{name}}} is no field of the rows; {hint}")
        answers = self.fields.answer or self._usual_answer(first)
        for name in found:
            if name in ([answers] if isinstance(answers, str) else answers):
                raise InputError(
                    f"tasks.{self.name}.prompt: {{{name}}} holds the answer and must not be shown"
                )
        return found

    def _usual_answer(self, first: Values) -> list[str]:
        return [] if self.preset else [name for name in ANSWERS if name in first][:1]

    def _shown(self, first: Values) -> str | None:
        """The template of the question: the task's, else the prompt's fields where none is the question."""
        if self.template is not None or self.fields.question is not None:
            return self.template
        if any(name in first for name in QUESTIONS):
            return None
        return "\n".join(f"{{{name}}}" for name in self._variables(first)) or None

    def _mapper(self, first: Values) -> Mapper:
        if self.preset is not None:
            return (
                self.preset.read if self.fields.id is None else partial(_with_id, self.preset, self.fields.id)
            )
        try:
            return by_fields(self.fields, self._shown(first), self.kind, first)
        except InputError as error:
            raise InputError(f"tasks.{self.name}.{error}") from None


def settle(name: str, spec: TaskSettings, seed_prompt: str) -> Settings:
    """The settings in force: the task's own, else its preset's, else a default for its kind.

    Raises InputError: an unknown preset, fields and a template beside one, a prompt file that cannot be read.
    """
    preset = _preset(name, spec)
    kind = spec.kind or (preset.kind if preset else None)
    assert kind is not None, "the schema asks for kind or preset"
    same = preset if preset is not None and preset.kind == kind else None
    return Settings(
        name=name,
        kind=kind,
        description=spec.description or (preset.description if preset else _TASKS[kind]),
        prompt=_prompt(spec.prompt) or (preset.prompt if preset else seed_prompt),
        labels=spec.labels or (same.labels or None if same else None),
        synonyms=spec.synonyms or (same.synonyms if same and not spec.labels else {}),
        fields=spec.fields,
        template=spec.template,
        preset=preset,
        credit=spec.credit,
        skip=spec.on_bad_row == "skip",
    )


def _prompt(text: str | None) -> str:
    """A prompt, read from its file where it is the path of one."""
    if text is None or not names_file(text):
        return text or ""
    found = whole(Path(text.strip()).expanduser()).strip()
    if not found:
        raise InputError(f"{text}: the file of the prompt is empty")
    return found


def _preset(name: str, spec: TaskSettings) -> Preset | None:
    if spec.preset is None:
        return None
    given = sorted(
        key for key, value in spec.fields.model_dump().items() if value is not None and key != "id"
    )
    given = [f"fields.{key}" for key in given] + (["template"] if spec.template else [])
    if given:
        raise InputError(
            f"tasks.{name}.{given[0]}: the preset {spec.preset} maps the rows; "
            f"remove {', '.join(given)}, or the preset"
        )
    try:
        return find_preset(spec.preset)
    except InputError as error:
        raise InputError(f"tasks.{name}.preset: {error}") from None


def _with_id(preset: Preset, path: str, values: Values) -> Raw | Drop:
    raw = preset.read(values)
    return raw if isinstance(raw, Drop) else msgspec.structs.replace(raw, id=required(at(values, path), path))
