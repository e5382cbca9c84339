"""The scorecards of a run as one flat table: a row for each prompt, task and model that was scored."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from ..errors import InputError
from ..evaluation.scorecard import Scorecard
from .results import PromptEntry, Results

if TYPE_CHECKING:
    import pandas

Row = dict[str, object]
Role = Literal["source", "baseline", "best", "transfer"]

_NESTED = ("judged", "reliability", "explained", "intervals")


def rows(results: Results) -> Iterator[Row]:
    """Source prompts on the split they were chosen on, then every prompt that was tested.

    `role` is source, baseline, best or transfer. Metrics are named as in a scorecard, judged qualities
    `judged.NAME`, the ends of intervals `METRIC_low` and `METRIC_high`; undefined metrics are None.
    """
    known: dict[str, PromptEntry] = {prompt.id: prompt for prompt in results.source_prompts}
    for target in results.targets:
        known |= {part.prompt.id: part.prompt for part in (target.baseline, target.best)}
    for prompt in results.source_prompts:
        for task, cards in prompt.scores.items():
            for model, card in cards.items():
                yield _row("source", prompt, task, model, prompt.split, card)
    for target in results.targets:
        base, best = target.baseline, target.best
        yield _row("baseline", base.prompt, target.task, target.model, "test", base.scorecard)
        yield _row("best", best.prompt, target.task, target.model, "test", best.scorecard)
    for tested in results.transfer:
        prompt = known[tested.prompt_id]
        yield _row("transfer", prompt, tested.task, tested.model, "test", tested.scorecard)


def dataframe(results: Results) -> "pandas.DataFrame":
    """`rows` as a DataFrame. Raises InputError when pandas is not installed."""
    try:
        import pandas
    except ImportError:
        raise InputError("to_dataframe needs pandas: pip install 'transfer-prompting[pandas]'") from None
    return pandas.DataFrame(list(rows(results)))


def _row(role: Role, prompt: PromptEntry, task: str, model: str, split: str, card: Scorecard) -> Row:
    metrics = {name: value for name, value in msgspec.structs.asdict(card).items() if name not in _NESTED}
    return {
        "role": role,
        "task": task,
        "model": model,
        "split": split,
        "prompt_id": prompt.id,
        "text": prompt.text,
        "position": prompt.position,
        "origin": prompt.origin,
        **metrics,
        **{f"judged.{name}": value for name, value in card.judged.items()},
        **{f"{name}_low": low for name, (low, _) in card.intervals.items()},
        **{f"{name}_high": high for name, (_, high) in card.intervals.items()},
    }
