"""Scenario files: their schema, how they are loaded, and the bundled ones."""

from .endpoints import Bus
from .errors import InputError, TransferPromptingError
from .scenario import Scenario, load
from .tasks import TaskSettings

__all__ = ["Bus", "InputError", "Scenario", "TaskSettings", "TransferPromptingError", "load"]
