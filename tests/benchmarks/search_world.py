"""A world of prompts whose effects are known, as a chat client inside the process.

An instruction is a set of words. Each model answers a row rightly when the row's own fixed draw, or now and
then a draw of the row under this very prompt, lies below the prompt's skill: a base plus what its words are
worth to this task and model. What a word is worth is in part shared by all tasks and models. The reference
LLM returns the prompt it is shown with one word added, taken out or exchanged; it knows nothing of their
worth.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Usage
from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.randomness import derived_seed, generator

_ROW = re.compile(r"Item (\d+) of (\w+) \[(\w+)\]")
_SHOWN = re.compile(r"<prompt>((?:(?!</?prompt>).)+)</prompt>", re.DOTALL)
LABELS = ("yes", "no")
WRITER = "writer"


@dataclass(frozen=True)
class Shape:
    """How many words there are and how many help; `shared` in [0, 1] is how alike tasks and models are."""

    words: int = 20
    helpful: int = 6
    base: float = 0.5
    room: float = 0.45
    shared: float = 0.8
    noise: float = 0.3


@dataclass
class SearchWorld:
    """One world, fixed by its seed."""

    shape: Shape
    seed: int
    tasks: Sequence[str]
    models: Sequence[str]
    calls: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        common = self._worth("common")
        share = self.shape.shared
        self.worth = {
            (task, model): [
                share * one + (1 - share) * other
                for one, other in zip(common, self._worth(task, model), strict=True)
            ]
            for task in self.tasks
            for model in self.models
        }

    async def chat(self, request: ChatRequest) -> ChatResponse:
        text = "\n\n".join(message.content for message in request.messages)
        self.calls[request.model] = self.calls.get(request.model, 0) + 1
        said = (
            self._written(text, request.sample)
            if request.model == WRITER
            else self._answered(request.model, text)
        )
        return ChatResponse(text=said, finish_reason="stop", usage=Usage(len(text) // 4, len(said) // 4))

    def skill(self, task: str, model: str, prompt: Prompt | str) -> float:
        """The share of rows answered rightly under a prompt, in the limit of many."""
        text = prompt if isinstance(prompt, str) else prompt.text
        gained = sum(worth for word, worth in enumerate(self.worth[task, model]) if _word(word) in text)
        return min(0.98, max(0.02, self.shape.base + gained))

    def best(self, task: str, model: str) -> float:
        """The highest skill that any prompt reaches."""
        gained = sum(worth for worth in self.worth[task, model] if worth > 0)
        return min(0.98, self.shape.base + gained)

    def _worth(self, *key: str) -> list[float]:
        """Some words help by equal parts of the room, as many hurt by half of that, the others do nothing."""
        rng = generator(self.seed, "worth", *key)
        step = self.shape.room / self.shape.helpful
        idle = self.shape.words - 2 * self.shape.helpful
        worth = [step] * self.shape.helpful + [-step / 2] * self.shape.helpful + [0.0] * idle
        rng.shuffle(worth)
        return worth

    def _answered(self, model: str, text: str) -> str:
        row = _ROW.search(text)
        assert row is not None, text
        number, task, gold = row[1], row[2], row[3]
        words = [word for word in range(self.shape.words) if _word(word) in text]
        rng = generator(self.seed, "row", task, number)
        drawn = rng.random()
        own = random.Random(derived_seed(self.seed, "answer", model, task, number, *words))
        if own.random() < self.shape.noise:
            drawn = own.random()
        skill = self.skill(task, model, text)
        answer = gold if drawn < skill else next(label for label in LABELS if label != gold)
        return f"Answer: {answer}\nConfidence: {round(100 * skill)}%"

    def _written(self, text: str, sample: int) -> str:
        shown = [prompt for prompt in _SHOWN.findall(text) if prompt.startswith("Decide.")]
        rng = generator(self.seed, "written", sample, text)
        start = shown[-1] if shown else ""
        words = {word for word in range(self.shape.words) if _word(word) in start}
        others = sorted(set(range(self.shape.words)) - words)
        kind = rng.random()
        if words and kind < 0.4:
            words.discard(rng.choice(sorted(words)))
        if others and (kind < 0.2 or kind >= 0.4):
            words.add(rng.choice(others))
        return f"<prompt>{instruction(words)}</prompt>"


def instruction(words: set[int] | frozenset[int]) -> str:
    return " ".join(["Decide.", *(f"Think {_word(word)}." for word in sorted(words))])


def _word(word: int) -> str:
    return f"w{word:02d}w"


def row(task: str, number: int) -> dict[str, str]:
    label = LABELS[number % 2]
    return {"text": f"Item {number} of {task} [{label}]", "label": label}
