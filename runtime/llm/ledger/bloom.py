"""Which keys a ledger cannot hold, known without asking it."""

from struct import Struct

_CELLS = 1 << 22
_PLACE = _CELLS - 1
_places = Struct("<4I").unpack_from


class Bloom:
    """A set of 16-byte keys that is never wrong about what is not in it (Bloom, CACM 13(7), 1970).

    It takes 4 MB whatever it holds. Holding 300,000 keys it takes one stranger in 250 for a member, holding
    a million one in 7. Keys must be hashes: their own bits choose the cells.
    """

    __slots__ = ("_cells",)

    def __init__(self) -> None:
        self._cells = bytearray(_CELLS)

    def add(self, key: bytes) -> None:
        cells = self._cells
        a, b, c, d = _places(key)
        cells[a & _PLACE] = cells[b & _PLACE] = cells[c & _PLACE] = cells[d & _PLACE] = 1

    def __contains__(self, key: bytes) -> bool:
        cells = self._cells
        a, b, c, d = _places(key)
        return bool(cells[a & _PLACE] and cells[b & _PLACE] and cells[c & _PLACE] and cells[d & _PLACE])
