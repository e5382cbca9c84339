"""Pages of documentation as tests see them: fenced blocks in order, run in one folder.

- `console`: each `$ command` is run, and what it prints is held against the page; `…` alone on a line stands
  for any lines, and seconds may differ
- `yaml title="x.yaml"`, `python title="x.py"`: written to that file
- `yaml`: keys of a scenario, checked by the schema
- `python`: run
- `sh`: each command must exist, with its options

`<!-- recorded: NAME -->` above a block puts that recording into the run's ledger first: what is shown is of
the real model, and comes out wherever its calls are replayed. `<!-- not run: REASON -->` says why a block is
only looked at as `sh` is.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- (?P<name>recorded|not run): (?P<value>[^>]*?) -->\s*\Z")
TITLE = re.compile(r'title="([^"]+)"')
SECONDS = re.compile(r"\b(?:\d+:\d\d (?:min|h)|[\d.]+ (?:s|min|h))\b")
ANY = "…"


@dataclass(frozen=True)
class Block:
    """A fenced block: what kind, for which file, under which mark, and on which line of the page."""

    kind: str
    text: str
    line: int
    title: str | None = None
    recorded: str | None = None
    not_run: str | None = None


@dataclass(frozen=True)
class Step:
    """A command of a console block as it is typed, and the lines it is shown to print."""

    typed: str
    shown: tuple[str, ...]

    @property
    def command(self) -> str:
        """In one line."""
        return self.typed.replace("\\\n", "")


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [_block(page, match) for match in FENCE.finditer(page)]


def steps(block: Block) -> list[Step]:
    """The commands of a console block; a backslash at the end of a line goes on with the next."""
    found: list[Step] = []
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        lines = part.rstrip().splitlines()
        typed = 1 + next(i for i, line in enumerate(lines) if not line.endswith("\\"))
        found.append(Step("\n".join(lines[:typed]), tuple(lines[typed:])))
    return found


def alike(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether the lines printed are those shown, whatever number of seconds stands in them."""
    pattern = "".join(
        "(?:.*\n)*" if line.strip() == ANY else f"{re.escape(line)}\n" for line in _plain(shown)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _plain(printed))) is not None


def _plain(lines: Sequence[str]) -> Iterator[str]:
    return (SECONDS.sub("N s", line.rstrip()) for line in lines if line.strip())


def _block(page: str, match: re.Match[str]) -> Block:
    kind, _, rest = match["info"].partition(" ")
    title = TITLE.search(rest)
    mark = MARK.search(page[: match.start()])
    marks = {mark["name"]: mark["value"]} if mark else {}
    return Block(
        kind=kind,
        text=match["text"],
        line=page.count("\n", 0, match.start()) + 1,
        title=title[1] if title else None,
        recorded=marks.get("recorded"),
        not_run=marks.get("not run"),
    )
