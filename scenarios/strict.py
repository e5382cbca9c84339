"""The pydantic base of everything people type: frozen, and unknown keys are errors."""

from pydantic import BaseModel, ConfigDict

from .document import Key, path_text


class Misplaced(ValueError):
    """What a validator of a whole mapping finds wrong with the value at `path` below it."""

    def __init__(self, path: tuple[Key, ...], problem: str) -> None:
        super().__init__(f"{path_text(path)}: {problem}")
        self.path = path
        self.problem = problem


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=False)
