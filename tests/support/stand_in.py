"""An endpoint that stands in for a provider where documentation is tried: it knows the bundled rows.

Targets answer correctly when the row's own draw is below the prompt's skill, which grows with each of the
ideas in it; the writer returns two of a few sensible instructions. Replies depend on the request alone.
"""

import json
import re
from collections.abc import Mapping
from importlib.resources import files

from .world import draw

IDEAS = {"people": 0.1, "money": 0.06, "wait": 0.1, "one word": 0.05, "carefully": 0.03, "guess": -0.1}
"""What an idea in a prompt adds to the share of rows answered rightly."""

INSTRUCTIONS = (
    "Read carefully and choose the label.",
    "Guess the label at once.",
    "Decide whether people or money are at risk, then choose the label.",
    "Can it wait? Choose the label that says so.",
    "Ask whether people are harmed if this has to wait. Answer with one word.",
    "Choose the label. Answer with one word.",
    "Think of the people who wrote this, and of the money they may lose. Choose carefully.",
    "If it cannot wait, because people or money are at risk, say so. Answer with one word.",
)

_NOTES = "<notes>\n- Naming what is at stake helped.\n- Guessing hurt.\n</notes>"


class StandIn:
    """The behaviour of a `chat_server`."""

    def __init__(self) -> None:
        data = files("transfer_prompting.scenarios").joinpath("data")
        self._gold: dict[str, str] = {}
        self._labels: dict[str, list[str]] = {}
        for name in ("reviews", "topics", "tickets"):
            rows = [
                json.loads(line) for line in data.joinpath(f"{name}.jsonl").read_text("utf-8").splitlines()
            ]
            labels = sorted({row["label"] for row in rows})
            for row in rows:
                self._gold[row["text"]] = row["label"]
                self._labels[row["text"]] = labels

    def __call__(self, body: Mapping[str, object]) -> str:
        text = _text(body)
        row = max((known for known in self._gold if known in text), key=len, default=None)
        if "<notes>" in text:
            return _NOTES
        if "<prompt>" in text or row is None:
            return _candidates(text, body.get("seed"))
        return self._answer(str(body["model"]), text.replace(row, ""), row)

    def _answer(self, model: str, prompt: str, row: str) -> str:
        skill = 0.5 + sum(worth for idea, worth in IDEAS.items() if idea in prompt.lower())
        gold = self._gold[row]
        others = [label for label in self._labels[row] if label != gold]
        own = draw(model, row)
        answer = gold if own < skill else others[int(own * 1000) % len(others)]
        sure = round(100 * min(0.99, max(0.3, 0.75 + 0.2 * (skill - own) + 0.4 * (draw("sure", row) - 0.5))))
        if re.search("careful", prompt, re.IGNORECASE) and draw("format", row) < 0.1:
            return f"It is {answer}, I think."
        return f"Answer: {answer}\nConfidence: {sure}%"


def _candidates(*request: object) -> str:
    ranked = sorted(INSTRUCTIONS, key=lambda instruction: draw("write", instruction, *request))
    return "\n".join(f"<prompt>{instruction}</prompt>" for instruction in ranked[:2])


def _text(body: Mapping[str, object]) -> str:
    messages = body["messages"]
    assert isinstance(messages, list)
    return "\n\n".join(str(message["content"]) for message in messages)
