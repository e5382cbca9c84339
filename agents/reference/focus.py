"""One text of an application at a time: a request that shows it alone, and candidates with all the others."""

from collections.abc import Mapping
from random import Random
from typing import Self

import msgspec

from ... import prompts
from ...runtime.messages import Propose, ScoredPrompt, TaskSummary
from ...runtime.prompt import Prompt
from ...runtime.tasks.template import variables


class Focus(msgspec.Struct, frozen=True):
    """The named text that one proposal changes.

    `request` shows strategies the prompts of the history as if this text were all of them, each text once
    with its best score; `wholes` are the prompts themselves, by the id under which they are shown.
    """

    name: str
    request: Propose
    wholes: Mapping[str, Prompt]

    @classmethod
    def of(cls, request: Propose, draw: Random) -> Self | None:
        """A focus on one of the texts, drawn evenly; None where prompts are one text each."""
        texts = request.history[-1].prompt.texts
        if not texts:
            return None
        name = draw.choice(list(texts))
        shown: dict[str, ScoredPrompt] = {}
        wholes: dict[str, Prompt] = {}
        for scored in request.history:  # it ends with the best
            part = msgspec.structs.replace(scored.prompt, text=scored.prompt.texts[name])
            shown.pop(part.id, None)
            shown[part.id] = msgspec.structs.replace(scored, prompt=part)
            wholes[part.id] = scored.prompt
        others = {other: text for other, text in texts.items() if other != name}
        tasks = tuple(_about(task, name, others, texts[name]) for task in request.tasks)
        return cls(name, msgspec.structs.replace(request, history=tuple(shown.values()), tasks=tasks), wholes)

    def whole(self, candidate: Prompt) -> Prompt | None:
        """The candidate with the other texts of its nearest parent; None where it breaks them up."""
        parents = [self.wholes[id] for id in candidate.parents if id in self.wholes]
        base = parents[0] if parents else self.wholes[self.request.history[-1].prompt.id]
        try:
            whole = Prompt.of({**base.texts, self.name: candidate.text})
        except ValueError:
            return None
        return msgspec.structs.replace(
            whole,
            position=base.position,
            origin=candidate.origin,
            parents=tuple(parent.id for parent in parents),
        )


def _about(task: TaskSummary, name: str, others: Mapping[str, str], text: str) -> TaskSummary:
    """The task, described as that of one text of an application."""
    if not others:
        return task
    said = prompts.render("named_text", text=name, others=_listed(others))
    kept = tuple(one for one in task.variables if one in variables(text))
    return msgspec.structs.replace(task, description=f"{task.description} {said}", variables=kept)


def _listed(others: Mapping[str, str]) -> str:
    return "; ".join(f'{name}: "{" ".join(text.split())}"' for name, text in others.items())
