"""Stand-in models made of published accuracies of instruction templates (Mizrahi et al. 2024, State of What
Art?).

A target answers a row rightly with the accuracy that was measured for the template and model: each row has a
difficulty of its own, the same under every prompt, and some noise for each prompt. A text that is no template
counts as its nearest ones. The reference LLM knows no accuracy: it rewrites one of the instructions that it
is shown, better ones more often, into a similar template, and now and then writes any other.
"""

import csv
import hashlib
import json
import os
import random
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import anyio
import numpy as np
from scipy.special import ndtri
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import linear_kernel

from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Usage

DATA = Path(os.environ.get("TPROMPT_TEST_DATA") or Path(__file__).parents[3] / "shared/data")
FOLDER = DATA / "prompt_accuracies"
LABELS = ("north", "east", "south", "west")
WRITER = "writer"
ROW_SHARE = 0.7
"""Share of the variance of right and wrong that is the row's own difficulty."""

NEAREST, FALL = 0.75, 0.8
"""How often the reference LLM stays near a shown instruction, and how fast similar ones become rarer."""

CELLS = (
    ("causal_judgement", "sports_understanding", "t0pp"),
    ("formal_fallacies", "causal_judgement", "t0pp"),
    ("hyperbaton", "penguins_in_a_table", "t0pp"),
    ("movie_recommendation", "hyperbaton", "ultralm-13b"),
    ("penguins_in_a_table", "logical_deduction_seven_objects", "vicuna-13b"),
    ("sports_understanding", "causal_judgement", "ultralm-13b"),
    ("all_words_from_category", "word_not_containing", "vicuna-13b"),
    ("first_alphabetically", "more_letters", "flan-t5-xl"),
    ("more_letters", "first_alphabetically", "airoboros-13b"),
    ("word_not_containing", "all_words_from_category", "alpaca-13b"),
)
"""Tasks, a source task of no use for each, and models: the best template is at least 0.4 accurate and 0.1 to
0.5 above the original."""


class Templates:
    """The templates of one task with their accuracies by model; the first is the original."""

    def __init__(self, task: str) -> None:
        path = next(path for path in sorted(FOLDER.glob("*.csv")) if path.stem.partition("_")[2] == task)
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.models = [name for name in rows[0] if name in MODELS]
        found: dict[str, dict[str, float]] = {}
        for row in rows:
            text = re.sub(r"\{(\w+)\}", r"[\1]", " ".join(row["template"].split()))
            found.setdefault(text, {model: float(row[model]) for model in self.models})
        self.texts = list(found)
        self.number = {text: i for i, text in enumerate(self.texts)}
        self.accuracy = {
            model: np.array([found[text][model] for text in self.texts]) for model in self.models
        }
        self._vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
        self._matrix = self._vectors.fit_transform(self.texts)

    @cache  # noqa: B019 - the tasks live as long as the benchmark
    def nearest(self, text: str) -> list[int]:
        """Templates by falling similarity."""
        similar = linear_kernel(self._vectors.transform([text]), self._matrix)[0]
        return np.argsort(-similar, kind="stable").tolist()

    def of(self, text: str) -> int:
        """The template that a text holds (the longest), or else the one it is most like."""
        known = self.number.get(text)
        if known is not None:
            return known
        held = [one for one in self.texts if one in text]
        return self.number[max(held, key=len)] if held else self.nearest(text)[0]

    def skill(self, model: str, text: str) -> float:
        """The share of the possible gain over the original that a prompt reaches; negative below it."""
        accuracy = self.accuracy[model]
        return float((accuracy[self.of(text)] - accuracy[0]) / (accuracy.max() - accuracy[0]))


MODELS = frozenset(
    [
        "falcon-7b-instruct",
        "mpt-7b-instruct",
        "flan-t5-xl",
        "flan-t5-xxl",
        "t0pp",
        "alpaca-13b",
        "airoboros-13b",
        "nous-hermes-13b",
        "ultralm-13b",
        "vicuna-13b",
        "minotaur-15b",
    ]
)


@cache
def templates(task: str) -> Templates:
    return Templates(task)


def alike(task: str, models: Sequence[str], correlation: float, seed: int) -> dict[str, np.ndarray]:
    """Accuracies of a task whose models agree on prompts with about this rank correlation."""
    accuracy = templates(task).accuracy
    count = len(templates(task).texts)
    draw = np.random.default_rng([seed, 17])
    common = draw.standard_normal(count)
    made: dict[str, np.ndarray] = {}
    for model in models:
        own = correlation**0.5 * common + (1 - correlation) ** 0.5 * draw.standard_normal(count)
        first, rest = accuracy[model][0], np.sort(accuracy[model][1:])
        made[model] = np.concatenate([[first], rest[np.argsort(np.argsort(own[1:]))]])
    return made


def rows(task: str, first: int, count: int) -> list[dict[str, str]]:
    return [
        {"id": str(i), "question": f"Record {i} of {task} <{task}:{i}>", "answer": LABELS[i % 4]}
        for i in range(first, first + count)
    ]


def scenario_task(task: str, train: int, validation: int, test: int) -> dict[str, object]:
    """A task of a scenario over rows of the stand-in, its original template as the prompt."""
    return {
        "rows": {
            "train": rows(task, 0, train),
            "validation": rows(task, train, validation),
            "test": rows(task, train + validation, test),
        },
        "kind": "classification",
        "labels": list(LABELS),
        "description": f"Sort the records of {task}.",
        "confidence": "none",
        "prompt": templates(task).texts[0],
    }


class PromptWorld:
    """A chat client for a run: targets by model name, and the reference LLM under the name `writer`.

    `accuracy` overrides the published ones by model. `latency` and `writer_latency` are medians in seconds of
    a lognormal distribution (sigma 0.8); 0 answers at once.
    """

    def __init__(
        self,
        seed: int,
        *,
        accuracy: Mapping[str, np.ndarray] | None = None,
        latency: float = 0.0,
        writer_latency: float = 0.0,
    ) -> None:
        self.calls = 0
        self.replies = 0
        self.seconds = 0.0
        self._seed = seed
        self._accuracy = accuracy or {}
        self._latency = {True: writer_latency, False: latency}
        self._waits = random.Random(seed)

    async def chat(self, request: ChatRequest) -> ChatResponse:
        text = "\n".join(message.content for message in request.messages)
        writes = request.model == WRITER
        median = self._latency[writes]
        took = median * float(np.exp(0.8 * self._waits.gauss(0, 1))) if median else 0.0
        if not writes:
            self.seconds += took
        if took:
            await anyio.sleep(took)
        answer = (
            self._write(text, request.seed or request.sample) if writes else self._answer(request.model, text)
        )
        usage = Usage(len(text) // 4 + 1, 8)
        return ChatResponse(text=answer, finish_reason="stop", usage=usage, seconds=took)

    def _answer(self, model: str, text: str) -> str:
        task, number = re.findall(r"<(\w+):(\d+)>", text)[-1]
        self.calls += 1
        known = templates(task)
        prompt = known.of(" ".join(text.replace(f"Record {number} of {task} <{task}:{number}>", "").split()))
        accuracy = self._accuracy.get(model, known.accuracy[model])[prompt]
        own = ndtri(self._unit("row", task, model, number))
        noise = ndtri(self._unit("noise", task, model, number, prompt))
        right = ROW_SHARE**0.5 * own + (1 - ROW_SHARE) ** 0.5 * noise < ndtri(
            np.clip(accuracy, 1e-9, 1 - 1e-9)
        )
        return f"Answer: {LABELS[(int(number) + (0 if right else 1 + int(number) // 4 % 3)) % 4]}"

    def _write(self, text: str, sample: int) -> str:
        self.replies += 1
        if "<notes>" in text:
            return "<notes>\n- Plain wording helps.\n</notes>"
        draw = random.Random(self._unit("write", text, sample))
        names = sorted(
            {
                name
                for name in re.findall(r"<(\w+):\d+>|Sort the records of (\w+)\.", text)
                for name in name
                if name
            }
        )
        known = templates(draw.choice(names))
        shown = [
            known.number[one]
            for one in re.findall(r"<prompt>(.*?)</prompt>\nscore", text, re.DOTALL)
            if one in known.number
        ]
        wanted = re.search(r"Write (\d+) new instructions", text)
        written = [self._rewritten(known, shown, draw) for _ in range(int(wanted[1]) if wanted else 1)]
        return "\n".join(f"<prompt>{known.texts[i]}</prompt>" for i in written)

    def _rewritten(self, known: Templates, shown: Sequence[int], draw: random.Random) -> int:
        others = [i for i in range(len(known.texts)) if i not in shown]
        if not shown or draw.random() > NEAREST:
            return draw.choice(others)
        best_first = list(reversed(shown))
        parent = draw.choices(best_first, [0.5**rank for rank in range(len(best_first))])[0]
        near = [i for i in known.nearest(known.texts[parent]) if i not in shown]
        return draw.choices(near, [FALL**rank for rank in range(len(near))])[0]

    def _unit(self, *key: object) -> float:
        digest = hashlib.blake2b(json.dumps([self._seed, *map(str, key)]).encode(), digest_size=8).digest()
        return (int.from_bytes(digest, "big") + 0.5) / 2**64
