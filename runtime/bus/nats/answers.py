"""What was answered lately, for askers whom the answer did not reach."""

from collections import OrderedDict

_MOST = 256
_MOST_BYTES = 16 * 2**20


class Answers:
    """The latest answers: some hundreds of them, and some megabytes, at most."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def get(self, ask: str) -> bytes | None:
        return self._answers.get(ask)

    def keep(self, ask: str, answer: bytes) -> None:
        self._answers[ask] = answer
        self._bytes += len(answer)
        while len(self._answers) > _MOST or self._bytes > _MOST_BYTES:
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= len(oldest)
