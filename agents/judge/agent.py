"""The Judge agent: has the scorer LLM rate responses, prompts, and responses side by side."""

from collections import Counter
from collections.abc import Collection, Iterable
from functools import partial

from anyio.abc import TaskGroup

from ...runtime.bus import Bus
from ...runtime.concurrency import run_all
from ...runtime.errors import BudgetReached, CallFailed, ContextTooLong, EndpointError
from ...runtime.evaluation.ratings import Rated, Read, read_ratings
from ...runtime.llm.chat import ChatClient, ChatRequest
from ...runtime.messages import CallCost, CompareResponses, Judged, JudgePrompt, JudgeResponses
from ..target import Sampling
from .forms import Form, Sheet, pair_sheet, prompt_sheet, response_sheet
from .rubrics import Judging

MAX_TOKENS = 256
"""Room for a rating of every quality, and for a judge that says a word too many."""


class Judge:
    """Answers `JudgeResponses`, `JudgePrompt` and `CompareResponses`: two calls an item, in opposite orders.

    A reply that gives no usable rating is counted by its reason, and so is a call that fails or a scorer LLM
    that cannot be had: no rating is ever made up. Only a spent budget ends an ask, after its calls in flight.
    `json_object` says whether the endpoint can be asked for structured output.
    """

    def __init__(
        self, bus: Bus, *, client: ChatClient, sampling: Sampling, judging: Judging, json_object: bool
    ) -> None:
        self._bus = bus
        self._client = client
        self._sampling = sampling
        self._judging = judging
        self._json_object = json_object

    async def start(self, tasks: TaskGroup, *, workers: int, served: Collection[type] = ()) -> None:
        """Serve all three requests, but for those that the host has `served` already."""
        if JudgeResponses not in served:
            await tasks.start(partial(self._bus.serve, JudgeResponses, self.responses, workers=workers))
        if JudgePrompt not in served:
            await tasks.start(partial(self._bus.serve, JudgePrompt, self.prompt, workers=workers))
        if CompareResponses not in served:
            await tasks.start(partial(self._bus.serve, CompareResponses, self.compare, workers=workers))

    async def responses(self, request: JudgeResponses) -> Judged:
        rubrics = self._judging.responses
        return await self._rated(response_sheet(exhibit, rubrics) for exhibit in request.exhibits)

    async def prompt(self, request: JudgePrompt) -> Rated:
        judged = await self._rated([prompt_sheet(request.prompt, self._judging.prompts)])
        return judged.rated[0]

    async def compare(self, request: CompareResponses) -> Judged:
        rubrics = self._judging.responses
        return await self._rated(pair_sheet(one, other, rubrics) for one, other in request.pairs)

    async def _rated(self, sheets: Iterable[Sheet]) -> Judged:
        items = list(sheets)
        forms = [form for sheet in items for form in (sheet.first, sheet.second)]
        found = await run_all(forms, self._read, limit=max(1, len(forms)), catch=(BudgetReached,))
        reads = [read for read, _ in found]
        pairs = zip(items, reads[::2], reads[1::2], strict=True)
        return Judged(
            tuple(_twice(sheet.item, first, second) for sheet, first, second in pairs),
            sum((cost for _, cost in found), CallCost()),
        )

    async def _read(self, form: Form) -> tuple[Read, CallCost]:
        sampling = self._sampling
        request = ChatRequest(
            model=sampling.model,
            messages=form.turns,
            max_tokens=sampling.max_tokens or MAX_TOKENS,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            json_object=self._json_object,
        )
        try:
            response = await self._client.chat(request)
        except (CallFailed, EndpointError) as error:
            cost = CallCost(error.attempts if isinstance(error, CallFailed) else 0)
            return Read({}, {_reason(error): len(form.names)}), cost
        read = read_ratings(response.text, tuple(form.names))
        cost = CallCost(response.attempts, response.usage.prompt_tokens, response.usage.completion_tokens)
        ratings = {form.names[name]: rating for name, rating in read.ratings.items()}
        return Read(ratings, read.unusable), cost


def _reason(error: CallFailed | EndpointError) -> str:
    if isinstance(error, EndpointError):
        return str(error)
    return "too long for the judge" if isinstance(error, ContextTooLong) else "call failed"


def _twice(item: str, first: Read, second: Read) -> Rated:
    unusable = Counter(first.unusable) + Counter(second.unusable)
    return Rated(item, first.ratings, second.ratings, dict(sorted(unusable.items())))
