"""Reasoning that a model writes into its reply, removed before anything is read from it."""

import re
from functools import lru_cache

_TAG = re.compile(
    r"<(?P<end>/)?(?:seed:)?(?:think|thinking|thought|reasoning|analysis|scratchpad|reflection)\s{0,9}>"
    r"|\[(?P<end2>/)?THINK\]"
    r"|◁(?P<end3>/)?think▷"
    r"|<\|(?:begin|(?P<end4>end))_of_thought\|>"
    r"|<\|(?:START|(?P<end5>END))_THINKING\|>"
    r"|<\|(?P<end7>/)?thinking\|>"
    r"|<unused94>(?:thought\b)?|(?P<end8><unused95>)"
    r"|^(?P<end6>Here(?:'s| is) my response):",
    re.IGNORECASE | re.MULTILINE,
)
"""Marks where reasoning begins or ends: DeepSeek, Qwen and many others; Magistral; Kimi; Sky-T1; Command A;
MedGemma; Granite, which only marks the end. Every group marks an end."""

_CHANNEL = re.compile(r"<\|channel\|>\s{0,3}(?P<name>\w{1,20})[^<\n]{0,80}<\|message\|>", re.IGNORECASE)
"""A message of OpenAI's Harmony format; only the channel `final` is meant for the user."""

_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>", re.IGNORECASE)

_BARE_ANALYSIS = re.compile(r"\A(?:assistant)?analysis(?=[A-Z])|\Aassistantanalysis")
"""Harmony whose special tokens were removed: `analysisWe need …assistantfinalAnswer: …`."""

_MARKUP = re.compile(
    r"<\|(?:begin_of_solution|end_of_solution|START_RESPONSE|END_RESPONSE|im_end|eot_id|return|end)\|>"
    r"|</?response>",
    re.IGNORECASE,
)
"""Marks around the reply itself, which are no part of it."""


_MARKS = (
    "think",
    "thought",
    "reasoning",
    "analysis",
    "scratchpad",
    "reflection",
    "<|",
    "response",
    "<unused9",
)
"""A text without any of these has no reasoning block."""


@lru_cache(maxsize=16)
def without_reasoning(text: str) -> str:
    """The reply without reasoning blocks, marks around the reply, and surrounding space.

    A block that was never closed runs to the end: what it holds is no answer. One that was opened in the
    prompt, and so only ends here, starts at the beginning. Takes time linear in the length of the text.
    """
    lowered = text.lower()
    if any(mark in lowered for mark in _MARKS):
        text = _MARKUP.sub("", _outside_blocks(_final_channel(text)))
    return text.strip()


def _outside_blocks(text: str) -> str:
    kept: list[str] = []
    at, thinking = 0, False
    for tag in _TAG.finditer(text):
        if tag.lastgroup is None:
            if not thinking:
                kept.append(text[at : tag.start()])
            thinking = True
            continue
        if not thinking:
            kept.clear()
        at, thinking = tag.end(), False
    return "".join(kept if thinking else [*kept, text[at:]])


def _final_channel(text: str) -> str:
    """The last message on the channel `final`; nothing where there are only others."""
    channels = list(_CHANNEL.finditer(text))
    if channels:
        final = next((found for found in reversed(channels) if found["name"].lower() == "final"), None)
        if final is None:
            return ""
        end = _CHANNEL_END.search(text, final.end())
        return text[final.end() : end.start() if end else len(text)]
    if _BARE_ANALYSIS.match(text):
        return text.rpartition("assistantfinal")[2] if "assistantfinal" in text else ""
    return text
