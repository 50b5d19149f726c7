"""Thrift's compact protocol, as far as Parquet's headers need it: read with bounds, before anything trusts them."""

from typing import Any, Final

from clayline.errors import TableError

_DEEP: Final = 12
_MOST: Final = 200_000
"""Elements of a list."""
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS: Final = frozenset({4, 5, 6})
_CONTINUES: Final = 0x80
_LONG: Final = 15
_VARINT_BITS: Final = 70


class Reader:
    """Reads structs from bytes, as dictionaries by field number."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        """Take the bytes, and where to begin."""
        self._data = data
        self.at = at

    def struct(self, *, last: int | None = None, depth: int = 0) -> dict[int, Any]:
        """Read a struct; ``last`` is a field after which nothing is read any more. Raises TableError."""
        if depth > _DEEP:
            raise TableError("a header is nested too deep")
        found: dict[int, Any] = {}
        field = 0
        while kind := (head := self._byte()) & 0x0F:
            field = field + (head >> 4) if head >> 4 else self._signed()
            found[field] = kind == _TRUE if kind in {_TRUE, _FALSE} else self._value(kind, depth)
            if last is not None and field >= last:
                break
        return found

    def _value(self, kind: int, depth: int) -> Any:  # noqa: ANN401 - of any kind
        if kind in _INTEGERS:
            return self._signed()
        if kind == _BYTE or kind in {_TRUE, _FALSE}:
            return self._byte()
        if kind == _DOUBLE:
            return self._take(8)
        if kind == _BINARY:
            return self._take(self._unsigned())
        if kind in {_LIST, _SET}:
            return self._list(depth)
        if kind == _STRUCT:
            return self.struct(depth=depth + 1)
        raise TableError(f"a header holds a value of kind {kind}")

    def _list(self, depth: int) -> list[Any]:
        if depth > _DEEP:
            raise TableError("a header is nested too deep")
        head = self._byte()
        count, kind = head >> 4, head & 0x0F
        if count == _LONG:
            count = self._unsigned()
        if count > _MOST:
            raise TableError(f"a header has a list of {count} elements; {_MOST} at most are read")
        return [self._value(kind, depth + 1) for _ in range(count)]

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, size: int) -> bytes:
        part = self._data[self.at : self.at + size]
        if len(part) < size:
            raise TableError("a header ends before it is whole")
        self.at += size
        return part

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < _CONTINUES:
                return value
            if shift > _VARINT_BITS:
                raise TableError("a header holds a number that is too long")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
