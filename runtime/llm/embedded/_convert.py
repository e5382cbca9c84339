"""A small Q4_1 model as Q8_0, which the engine computes twice as fast.

CPU seconds a call of the bundled model (30 new tokens, one token out, one thread): Q4_1 0.34, F16 0.23 to
0.29, Q8_0 0.17. The engine has fast matrix products for Q8_0, and none for Q4_1.
"""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gguf import GGUFReader

MOST_BYTES = 200 * 2**20
"""Larger models are used as they are: their copy would take gigabytes, and minutes to make."""


def converted(gguf: Path, folder: Path | None = None) -> Path:
    """The path of a model with Q8_0 in place of Q4_1, made once and kept in `folder` (default: the user's
    cache); the model itself where it is large, damaged, or has nothing in Q4_1, or no copy can be written."""
    try:
        kept = folder or _cache()
        if gguf.stat().st_size > MOST_BYTES:
            return gguf
        with gguf.open("rb") as file:
            copy = kept / f"{gguf.stem}-{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}-q8_0.gguf"
        if copy.exists():
            return copy
        if (model := _convertible(gguf)) is None:
            return gguf  # before anything is left in the cache
        kept.mkdir(parents=True, exist_ok=True)
        from filelock import FileLock

        with FileLock(copy.with_suffix(".lock")):
            if not copy.exists():
                _write(model, copy)
        return copy
    except Exception:  # noqa: BLE001 - no folder, no space, or a damaged model, of which the engine says so
        return gguf


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "transfer-prompting"


def _convertible(gguf: Path) -> "GGUFReader | None":
    """The model as read; None where it has nothing in Q4_1. Raises where it is damaged."""
    from gguf import GGMLQuantizationType, GGUFReader

    model = GGUFReader(gguf)
    _architecture(model)
    q4_1 = GGMLQuantizationType.Q4_1
    return model if any(tensor.tensor_type == q4_1 for tensor in model.tensors) else None


def _architecture(model: "GGUFReader") -> str:
    return model.fields["general.architecture"].contents()


def _write(model: "GGUFReader", copy: Path) -> None:
    """Write the copy beside its place, then put it there."""
    from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter
    from gguf.quants import dequantize, quantize

    q4_1, q8_0 = GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q8_0
    handle, name = tempfile.mkstemp(dir=copy.parent, suffix=".part")
    os.close(handle)
    try:
        writer = GGUFWriter(name, _architecture(model))
        for field in model.fields.values():
            if not field.name.startswith("GGUF.") and field.name != "general.architecture":
                items = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
                writer.add_key_value(field.name, field.contents(), field.types[0], items)
        for tensor in model.tensors:
            data, kind = tensor.data, tensor.tensor_type
            if kind == q4_1:
                data, kind = quantize(dequantize(data, kind), q8_0), q8_0
            writer.add_tensor(tensor.name, data, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        os.replace(name, copy)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
