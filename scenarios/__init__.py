"""Scenario files: their schema, how they are loaded, and the bundled ones."""

from .endpoints import Bus, Endpoint, Limits, Model, Price, Retry
from .errors import InputError, TransferPromptingError
from .scenario import Scenario, load
from .stages import Budget, Quality, Reference, Scorer, SourceStage, Stages, TargetStage
from .tasks import Fields, Split, SplitFiles, Task

__all__ = [
    "Budget",
    "Bus",
    "Endpoint",
    "Fields",
    "InputError",
    "Limits",
    "Model",
    "Price",
    "Quality",
    "Reference",
    "Retry",
    "Scenario",
    "Scorer",
    "SourceStage",
    "Split",
    "SplitFiles",
    "Stages",
    "TargetStage",
    "Task",
    "TransferPromptingError",
    "load",
]
