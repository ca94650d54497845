"""A set of shards that takes one byte for each, so that a million weigh a megabyte."""

_MARKED = 1


class Marks:
    """A set of small numbers, counted from 0: the indices of shards."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._count = 0

    def add(self, index: int) -> None:
        """Marks one; nothing happens where it is marked already."""
        if index in self:
            return
        if index >= len(self._bytes):
            self._bytes.extend(bytes(index + 1 - len(self._bytes)))
        self._bytes[index] = _MARKED
        self._count += 1

    def __contains__(self, index: int) -> bool:
        return index < len(self._bytes) and self._bytes[index] == _MARKED

    def __len__(self) -> int:
        return self._count
