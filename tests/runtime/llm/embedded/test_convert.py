"""A Q4_1 model as Q8_0: the same weights but for rounding, all else as it was."""

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from transfer_prompting.runtime.llm.embedded._convert import Q4_1, Q8_0, converted

F32 = 0
ROWS, COLUMNS = 3, 64
BIAS = np.arange(5, dtype=np.float32)


def q4_1_blocks() -> NDArray[np.uint8]:
    random = np.random.default_rng(1)
    blocks = random.integers(0, 256, (ROWS * COLUMNS // 32, 20), dtype=np.uint8)
    blocks[:, :4] = np.array([[0.25, -1.5]], np.float16).view(np.uint8)
    blocks[0, :4] = 0  # a block of zeros
    return blocks


def weights_of_q4_1(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    scales = blocks[:, :4].copy().view(np.float16).astype(np.float32)
    numbers = np.hstack([blocks[:, 4:] & 15, blocks[:, 4:] >> 4])
    return numbers * scales[:, :1] + scales[:, 1:]


def weights_of_q8_0(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    return blocks[:, :2].copy().view(np.float16).astype(np.float32) * blocks[:, 2:].view(np.int8)


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    return string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


METADATA = (
    string("general.name") + struct.pack("<I", 8) + string("tiny")
    + string("tokenizer.tokens") + struct.pack("<IIQ", 9, 8, 2) + string("a") + string("b")
    + string("rope.base") + struct.pack("<If", 6, 1.5)
)  # fmt: skip


def gguf(path: Path, *, kind: int = Q4_1) -> Path:
    """A file with a matrix and, behind it, a vector in F32."""
    blocks = q4_1_blocks().tobytes()
    head = struct.pack("<4sIQQ", b"GGUF", 3, 2, 3) + METADATA
    head += tensor("blk.0.w", (COLUMNS, ROWS), kind, 0) + tensor("bias", (5,), F32, len(blocks) + 8)
    padded = head + bytes(-len(head) % 32)
    path.write_bytes(padded + blocks + bytes(8) + BIAS.tobytes())
    return path


def test_the_weights_are_the_same_but_for_rounding_and_all_else_is_as_it_was(tmp_path: Path):
    copy = converted(gguf(tmp_path / "tiny.gguf"), tmp_path / "cache")
    assert copy.parent == tmp_path / "cache"
    data = copy.read_bytes()
    size = ROWS * COLUMNS // 32 * 34
    vector = -(-size // 32) * 32
    head = struct.pack("<4sIQQ", b"GGUF", 3, 2, 3) + METADATA
    head += tensor("blk.0.w", (COLUMNS, ROWS), Q8_0, 0) + tensor("bias", (5,), F32, vector)
    assert data.startswith(head)
    begin = -(-len(head) // 32) * 32
    made = weights_of_q8_0(np.frombuffer(data[begin : begin + size], np.uint8).reshape(-1, 34))
    wanted = weights_of_q4_1(q4_1_blocks())
    step = np.abs(wanted).max(axis=1, keepdims=True) / 127
    assert (np.abs(made - wanted) <= 0.6 * step).all()
    assert data[begin + vector :].startswith(BIAS.tobytes())


def test_the_copy_is_made_once(tmp_path: Path):
    original = gguf(tmp_path / "tiny.gguf")
    first = converted(original, tmp_path / "cache")
    before = first.stat()
    assert converted(original, tmp_path / "cache") == first
    assert first.stat().st_mtime_ns == before.st_mtime_ns
    assert not list((tmp_path / "cache").glob("*.part"))


@pytest.mark.parametrize("flaw", ["other type", "cut off", "no model", "no folder"])
def test_a_model_that_cannot_be_converted_is_used_as_it_is(flaw: str, tmp_path: Path):
    original = gguf(tmp_path / "tiny.gguf", kind=Q8_0 if flaw == "other type" else Q4_1)
    cache = tmp_path / "cache"
    if flaw == "cut off":
        original.write_bytes(original.read_bytes()[:-150])
    if flaw == "no model":
        original.write_bytes(b"GGUF\x03")
    if flaw == "no folder":
        cache.write_text("a file stands here")
    assert converted(original, cache) == original
    assert list(tmp_path.rglob("*.part")) == []
