"""The best prompts of a run, to take elsewhere: as text and as JSON."""

from collections.abc import Sequence

import msgspec

from ...scenarios.nearest import nearest
from ..errors import InputError
from ..evaluation.paired import Gain
from ..evaluation.scorecard import Scorecard
from ..prompt import Position
from .results import Results, TargetResult

STANDS: dict[Position, str] = {
    "system": "in the system turn",
    "before": "before the question",
    "after": "after the question",
}


class Exported(msgspec.Struct, frozen=True):
    """A best prompt with what was measured of it on test."""

    task: str
    model: str
    id: str
    text: str
    position: Position
    origin: str
    parents: tuple[str, ...]
    scorecard: Scorecard
    gain: dict[str, Gain]


def chosen(results: Results, task: str | None = None, model: str | None = None) -> list[TargetResult]:
    """The targets of that task and model, or of all where none is named.

    Raises InputError when there is no such task or model among the results, and when nothing was finished.
    """
    targets = results.targets
    if not targets:
        raise InputError(f"{results.name}: no target was finished ({results.status}); run it again to go on")
    _known("task", task, [target.task for target in targets])
    _known("model", model, [target.model for target in targets])
    found = [one for one in targets if task in (None, one.task) and model in (None, one.model)]
    if not found:
        raise InputError(f"no result for task {task!r} with model {model!r}")
    return found


def only(targets: Sequence[TargetResult], form: str) -> TargetResult:
    """The one target of a form that holds no more; InputError names what to choose from."""
    if len(targets) > 1:
        names = ", ".join(f"--task {target.task} --model {target.model}" for target in targets)
        raise InputError(f"--format {form} takes one prompt; choose one of: {names}")
    return targets[0]


def as_text(targets: Sequence[TargetResult]) -> str:
    """The words of one prompt alone; of several under a line each that says where they belong."""
    if len(targets) == 1:
        return targets[0].best.prompt.text
    return "\n\n".join(f"# {about(target)}\n{target.best.prompt.text}" for target in targets)


def as_json(targets: Sequence[TargetResult]) -> str:
    """A JSON list of `Exported`."""
    return msgspec.json.format(msgspec.json.encode([_exported(target) for target in targets])).decode()


def about(target: TargetResult) -> str:
    """Where a best prompt belongs and stands."""
    name = " ".join(f"{target.task} with {target.model}".split())
    return f"{name}, stands {STANDS[target.best.prompt.position]}"


def _exported(target: TargetResult) -> Exported:
    prompt = target.best.prompt
    return Exported(
        task=target.task,
        model=target.model,
        id=prompt.id,
        text=prompt.text,
        position=prompt.position,
        origin=prompt.origin,
        parents=prompt.parents,
        scorecard=target.best.scorecard,
        gain=target.gain,
    )


def _known(option: str, name: str | None, names: Sequence[str]) -> None:
    if name is not None and name not in names:
        raise InputError(f"--{option} {name}: no such {option} in these results; {nearest(name, names)}")
