"""What stands in for models when the examples run: it sorts the bundled texts, better under good words."""

import json
from collections.abc import Mapping
from pathlib import Path

from support.world import World, draw

DATA = Path(__file__).parent.parent.parent / "scenarios" / "data"
LABELS = {"reviews": ("negative", "positive"), "tickets": ("routine", "urgent")}


class Sorter:
    """Knows the labels of the bundled reviews and tickets. `WRITER_MODEL` writes as the world's writer does.

    A request for structured output is answered with JSON, any other in the strict format where it asks for
    it, else with the label alone. What holds no known text is answered with A.
    """

    def __init__(self) -> None:
        worth = {task: {"stepwise": 0.25, "carefully": 0.2} for task in LABELS}
        self.world = World(labels=LABELS, worth={"target": worth}, vocabulary=("stepwise", "carefully"))
        self._gold = {
            row["text"]: (name, row["label"])
            for name in LABELS
            for line in (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
            for row in [json.loads(line)]
        }

    def __call__(self, body: Mapping[str, object]) -> str:
        if body["model"] == self.world.writer:
            return self.world(body)
        messages = body["messages"]
        assert isinstance(messages, list)
        asked = "\n\n".join(str(message["content"]) for message in messages)
        label = self._label(asked)
        if "response_format" in body:
            return json.dumps({"label": label, "confidence": 0.8})
        if "Answer: the answer" in asked:
            return f"Answer: {label}\nConfidence: 80%" if "Confidence:" in asked else f"Answer: {label}"
        return label

    def _label(self, asked: str) -> str:
        text = next((text for text in self._gold if text in asked), None)
        if text is None:
            return "A"
        task, gold = self._gold[text]
        right = draw("right", text) < self.world.skill("target", task, asked)
        return gold if right else next(label for label in LABELS[task] if label != gold)
