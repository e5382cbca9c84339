"""A task's settings with its preset's filled in."""

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from ...scenarios.errors import InputError
from ...scenarios.tasks import Fields, Kind
from ...scenarios.tasks import Task as TaskSettings
from .collect import Labels, Recipe
from .data import Shape, Values
from .mapping import Drop, Mapper, Raw, at, by_fields, required
from .presets import Preset, find_preset

_TASKS: Mapping[str, str] = {
    "multiple_choice": "Choose the option that answers the question.",
    "classification": "Give each text its label.",
    "yes_no": "Answer each question with yes or no.",
    "yes_no_maybe": "Answer each question with yes, no or maybe.",
    "numeric": "Answer each question with a number.",
    "text": "Answer each question in a few words.",
    "judged": "Answer each question in free text.",
}


class Settings(msgspec.Struct, frozen=True):
    """What is asked of a task's rows, all defaults resolved."""

    name: str
    kind: Kind
    description: str
    prompt: str
    labels: Labels
    synonyms: Mapping[str, Sequence[str]]
    fields: Fields
    template: str | None
    preset: Preset | None

    @property
    def shape(self) -> Shape:
        return self.preset.shape if self.preset else Shape()

    def recipe(self, prefix: str = "") -> Recipe:
        """How this task's rows become examples."""
        return Recipe(self.name, self._mapper, self.kind, self.labels, prefix)

    def _mapper(self, first: Values) -> Mapper:
        if self.preset is not None:
            return (
                self.preset.read if self.fields.id is None else partial(_with_id, self.preset, self.fields.id)
            )
        try:
            return by_fields(self.fields, self.template, self.kind, first)
        except InputError as error:
            raise InputError(f"tasks.{self.name}.{error}") from None


def settle(name: str, spec: TaskSettings, seed_prompt: str) -> Settings:
    """The settings in force: what the task says, else its preset, else a default for its kind.

    Raises InputError: an unknown preset, or fields and a template beside one.
    """
    preset = _preset(name, spec)
    kind = spec.kind or (preset.kind if preset else None)
    assert kind is not None, "the schema asks for kind or preset"
    same = preset if preset is not None and preset.kind == kind else None
    return Settings(
        name=name,
        kind=kind,
        description=spec.description or (preset.description if preset else _TASKS[kind]),
        prompt=spec.prompt or (preset.prompt if preset else seed_prompt),
        labels=spec.labels or (same.labels or None if same else None),
        synonyms=spec.synonyms or (same.synonyms if same and not spec.labels else {}),
        fields=spec.fields,
        template=spec.template,
        preset=preset,
    )


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
