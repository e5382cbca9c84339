"""A simulated world with known prompt effects, for the chat server of tests and benchmarks.

Rows carry their gold label in brackets (`Item 7 of tickets [urgent]`). A target model answers a row rightly
when the row's own fixed draw lies below the prompt's skill: a base, plus what each of the words in the prompt
is worth to this task and model. A prompt that holds `FORMAT_WORD` makes it keep the format. The writer model
returns the best prompt it was shown with one more word of its vocabulary, another one in each candidate of a
reply; which ones depends on the seed.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

FORMAT_WORD = "verbatim"
WORDS = ("carefully", "stepwise", "literally", "twice", "calmly", "slowly", "exactly", "plainly")

_ROW = re.compile(r"Item (\d+) of (\w+) \[(\w+)\](?!\nAnswer: )")
"""A row that is asked; one that a prompt shows as an example has its answer below it."""

_TRIED = re.compile(r"<prompt>((?:(?!</?prompt>).)+)</prompt>", re.DOTALL)
_COUNT = re.compile(r"Write (\d+) new instructions")
_SHOWN = re.compile(r"<prompt>((?:(?!</?prompt>).)+)</prompt>\nscore:", re.DOTALL)


def draw(*key: object) -> float:
    """A number in [0, 1) fixed by the key."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


@dataclass
class World:
    """`worth[model][task][word]` adds to the skill of prompts that hold the word; `labels` are by task."""

    labels: Mapping[str, Sequence[str]]
    worth: Mapping[str, Mapping[str, Mapping[str, float]]]
    base: float = 0.4
    writer: str = "writer-1"
    vocabulary: Sequence[str] = (*WORDS, FORMAT_WORD)
    asked: list[tuple[str, str, int]] = field(default_factory=list)

    def __call__(self, body: Mapping[str, object]) -> str:
        """The reply to a chat completion request."""
        text = _text(body)
        model = str(body["model"])
        if model == self.writer:
            return self._note(text) if "<notes>" in text else self._write(text, body.get("seed"))
        return self._answer(model, text)

    def skill(self, model: str, task: str, prompt: str) -> float:
        """The share of rows that a model answers rightly under a prompt, in the limit of many rows."""
        worth = self.worth.get(model, {}).get(task, {})
        return min(1.0, self.base + sum(value for word, value in worth.items() if word in prompt))

    def _answer(self, model: str, text: str) -> str:
        row = _ROW.search(text)
        assert row is not None, f"a target was asked something that is no row: {text[:200]}"
        number, task, gold = int(row[1]), row[2], row[3]
        self.asked.append((model, task, number))
        skill = self.skill(model, task, text)
        others = [label for label in self.labels[task] if label != gold]
        right = draw("right", task, number) < skill
        answer = gold if right else others[number % len(others)]
        if FORMAT_WORD not in text and draw("format", task, number) < 0.5:
            return f"I would say it is {answer}."
        return f"Answer: {answer}\nConfidence: {round(100 * skill)}%"

    def _note(self, text: str) -> str:
        """The longest prompt that was tried, as a note."""
        tried = max(_SHOWN.findall(text) or _TRIED.findall(text), key=len)
        return f"Let me see.\n<notes>\n- It helped to say: {tried.strip().splitlines()[0]}\n</notes>"

    def _write(self, text: str, seed: object) -> str:
        shown = _SHOWN.findall(text)
        best = shown[-1].strip() if shown else "Answer."
        missing = [word for word in self.vocabulary if word not in best]
        if not missing:
            return "I have nothing to add."
        count = _COUNT.search(text)
        words = sorted(missing, key=lambda word: draw("word", text, seed, word))
        tries = [f"<prompt>{best} Work {word}.</prompt>" for word in words[: int(count[1]) if count else 1]]
        return "\n".join(["Let me try.", *tries])


def _text(body: Mapping[str, object]) -> str:
    messages = body["messages"]
    assert isinstance(messages, list)
    return "\n\n".join(str(message["content"]) for message in messages)


def rows(task: str, labels: Sequence[str], count: int, *, first: int = 0) -> list[dict[str, str]]:
    """`count` rows of a task, labels taking turns, as a data file would hold them."""
    return [
        {"text": f"Item {i} of {task} [{labels[i % len(labels)]}]", "label": labels[i % len(labels)]}
        for i in range(first, first + count)
    ]
