"""OpenTelemetry: spans and metrics of a run. Nothing here imports it before `Telemetry` is made."""

from .telemetry import Telemetry

__all__ = ["Telemetry"]
