"""A vector bucket in memory: what AWS's documentation says of S3 Vectors, exact where that is approximate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clayline.likeness.vector_query import Neighbour
from clayline.likeness.vector_records import Put, VectorRecord

SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda there, asked: there == asked,
    "$in": lambda there, asked: there in asked,
    "$gte": lambda there, asked: there >= asked,
    "$lte": lambda there, asked: there <= asked,
    "$startsWith": lambda there, asked: there.startswith(asked),
}


@dataclass
class MemoryVectors:
    """``before`` is called before each write with its name and index, and may raise."""

    bucket: str = "my-vectors"
    there: dict[str, dict[str, VectorRecord]] = field(default_factory=dict)
    before: Callable[[str, str], None] = lambda *_: None
    requests: list[tuple[str, str, int]] = field(default_factory=list)

    def put(self, put: Put) -> None:
        self.before("put", put.index)
        self.requests.append(("put", put.index, len(put.records)))
        self.there.setdefault(put.index, {}).update((each.key, each) for each in put.records)

    def delete(self, index: str, keys: Sequence[str]) -> None:
        self.before("delete", index)
        self.requests.append(("delete", index, len(keys)))
        for key in keys:
            self.there.get(index, {}).pop(key, None)

    def indexes(self, stem: str) -> frozenset[str]:
        return frozenset(name for name in self.there if name.startswith(stem))

    def ask(self, index: str, direction: Sequence[float], *, most: int, where: dict[str, Any]) -> list[Neighbour]:
        self.requests.append(("ask", index, most))
        found = [each for each in self.there[index].values() if meets(each.metadata, where)]
        scores = [float(np.dot(each.data, direction) / np.linalg.norm(each.data)) for each in found]
        ranked = sorted(zip(scores, found, strict=True), key=lambda pair: -pair[0])[:most]
        return [Neighbour(uci=each.key, score=score, metadata=each.metadata) for score, each in ranked]

    @property
    def records(self) -> dict[str, VectorRecord]:
        """All vectors, by key: each lies in one index."""
        found = [(key, each) for records in self.there.values() for key, each in records.items()]
        assert len(dict(found)) == len(found)
        return dict(found)


def meets(metadata: dict[str, Any], where: dict[str, Any]) -> bool:
    """Say whether a vector's metadata meets a filter; a key that is not there meets no condition."""
    [(name, asked)] = where.items()
    if name == "$and":
        return all(meets(metadata, each) for each in asked)
    if name == "$or":
        return any(meets(metadata, each) for each in asked)
    [(sign, value)] = asked.items()
    return name in metadata and SIGNS[sign](metadata[name], value)
