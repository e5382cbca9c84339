"""The system's Chromium, for tests that look at a page as people do.

async with browser() as chromium, opened(chromium, path.as_uri()) as seen:
    ...  # seen.page is playwright's page
assert seen.errors == []
"""

import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import anyio
import pytest
from playwright.async_api import Browser, ConsoleMessage, Error, Page, Request, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

READY = "html[data-ready]"
"""The answer and what is in view is there."""

DRAWN = "html[data-drawn]"
"""Everything is."""

PATIENCE = 120.0
"""Seconds that one thing in a page may take on a busy machine."""

SECONDS = 400
"""The timeout of a test that opens a browser."""


def executable() -> str:
    """Where Chromium is. Without one the test is skipped, or fails where CI must have it."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    reason = "no Chromium on this machine: apt-get install chromium"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@asynccontextmanager
async def browser() -> AsyncGenerator[Browser]:
    """A headless Chromium with a profile of its own."""
    path = executable()
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=1000 * PATIENCE)
        try:
            yield chromium
        finally:
            await chromium.close()


@dataclass
class Seen:
    """An open page, what its console said of errors and warnings, and its requests after the first."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    async def ready(self) -> None:
        """Until everything is drawn."""
        await self.page.wait_for_selector(DRAWN, state="attached")


@asynccontextmanager
async def opened(
    chromium: Browser,
    url: str,
    *,
    width: int = 1280,
    height: int = 900,
    scheme: Literal["light", "dark"] = "light",
) -> AsyncGenerator[Seen]:
    """The page at `url`, drawn."""
    with anyio.fail_after(SECONDS):
        page = await chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.set_default_timeout(1000 * PATIENCE)
        seen = Seen(page)

        def said(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                seen.errors.append(message.text)

        def failed(error: Error) -> None:
            seen.errors.append(str(error))

        def asked(request: Request) -> None:
            if request.url != url and not request.url.startswith(("data:", "blob:")):
                seen.requests.append(request.url)

        page.on("console", said)
        page.on("pageerror", failed)
        page.on("request", asked)
        await page.goto(url)
        await seen.ready()
        yield seen
        await page.close()
