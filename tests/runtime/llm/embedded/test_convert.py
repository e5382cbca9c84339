"""A Q4_1 model as Q8_0: the same weights but for rounding, all else as it was."""

from pathlib import Path

import numpy as np
import pytest

from transfer_prompting.runtime.llm.embedded._convert import converted

gguf = pytest.importorskip("gguf")
Q4_1, Q8_0 = gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q8_0
WEIGHTS = np.random.default_rng(1).normal(size=(3, 64)).astype(np.float32)
BIAS = np.arange(5, dtype=np.float32)


def model(path: Path, *, kind: object = Q4_1) -> Path:
    """A file with a matrix, a vector, and metadata of several types."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
    writer.add_float32("llama.rope.freq_base", 1.5)
    writer.add_tensor("blk.0.w", gguf.quants.quantize(WEIGHTS, kind), raw_dtype=kind)
    writer.add_tensor("bias", BIAS)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_weights_are_the_same_but_for_rounding_and_all_else_is_as_it_was(tmp_path: Path):
    original = model(tmp_path / "tiny.gguf")
    copy = converted(original, tmp_path / "cache")
    assert copy.parent == tmp_path / "cache"
    before, after = gguf.GGUFReader(original), gguf.GGUFReader(copy)
    assert {name: field.contents() for name, field in after.fields.items()} == {
        name: field.contents() for name, field in before.fields.items()
    }
    matrix, vector = after.tensors
    assert (matrix.name, matrix.tensor_type) == ("blk.0.w", Q8_0)
    wanted = gguf.quants.dequantize(before.tensors[0].data, Q4_1)
    made = gguf.quants.dequantize(matrix.data, Q8_0)
    step = np.abs(wanted).reshape(3, 2, 32).max(axis=2) / 127
    assert (np.abs(made - wanted).reshape(3, 2, 32) <= 0.6 * step[..., None]).all()
    assert (vector.name, vector.data.tolist()) == ("bias", BIAS.tolist())


def test_the_copy_is_made_once(tmp_path: Path):
    original = model(tmp_path / "tiny.gguf")
    first = converted(original, tmp_path / "cache")
    before = first.stat()
    assert converted(original, tmp_path / "cache") == first
    assert first.stat().st_mtime_ns == before.st_mtime_ns
    assert not list((tmp_path / "cache").glob("*.part"))


@pytest.mark.parametrize("flaw", ["other type", "cut off", "no model", "no text", "no folder"])
def test_a_model_that_cannot_be_converted_is_used_as_it_is(flaw: str, tmp_path: Path):
    original = model(tmp_path / "tiny.gguf", kind=Q8_0 if flaw == "other type" else Q4_1)
    cache = tmp_path / "cache"
    if flaw == "cut off":
        original.write_bytes(original.read_bytes()[:-150])
    if flaw == "no model":
        original.write_bytes(b"GGUF\x03")
    if flaw == "no text":
        original.write_bytes(original.read_bytes().replace(b"llama", b"\xff" * 5, 1))
    if flaw == "no folder":
        cache.write_text("a file stands here")
    assert converted(original, cache) == original
    assert [path for path in tmp_path.rglob("*") if path.suffix != ".gguf" and path != cache] == []
