"""Runs the commands of README and docs and writes what they print under them: `make pages`.

Outputs shown in part are left as they are. Those of a recorded run are what was printed when it was recorded.
"""

import sys
import tempfile
from pathlib import Path

import anyio

from support.chat_server import chat_server
from support.pages import ANY, Block, alike, blocks
from support.stand_in import StandIn
from support.trial import PAGES, Trial, recorded_output


async def refreshed(text: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        async with chat_server(StandIn(), logprobs=False) as server:
            trial = Trial(Path(folder), server)
            for block in blocks(text):
                if block.kind == "console" and block.not_run is None:
                    text = text.replace(block.text, await _again(trial, block))
                else:
                    await trial.take(block)
    return text


async def _again(trial: Trial, block: Block) -> str:
    lines: list[str] = []
    for step, printed in await trial.printed(block):
        if alike(step.shown, printed) or any(line.strip() == ANY for line in step.shown):
            told = step.shown
        elif block.recorded is not None:
            told = recorded_output(block.recorded)
        else:
            told = printed
        lines += [f"$ {step.typed}", *(line.rstrip() for line in told)]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    chosen = [page for page in PAGES if page.name in sys.argv[1:]] or PAGES
    for page in chosen:
        page.write_text(anyio.run(refreshed, page.read_text("utf-8")), encoding="utf-8")
