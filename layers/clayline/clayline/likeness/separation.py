"""The normal of a linear separation of examples: for a probe with examples enough on both sides (docs/watches.md)."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clayline.errors import DatasetError

LEAST_EXAMPLES: Final = 2
"""Of each kind: of one each, the separation is Rocchio's own direction."""
RIDGE: Final = 0.1
"""Of the squared length of a unit vector, how much a long normal costs: examples are few, and dimensions many."""


def normal(like: NDArray[Any], unlike: NDArray[Any], *, ridge: float = RIDGE) -> NDArray[np.float64]:
    """Give the direction [D], of length 1, that best tells [P, D] vectors from [N, D] ones, all of length 1.

    Ridge regression on +1 and -1 with an offset, either kind weighing a half however many it has. Solved in the
    examples' own space, so a thousand dimensions cost no more than the examples. Raises DatasetError for under two of
    a kind, and for examples that nothing tells apart.
    """
    if min(len(like), len(unlike)) < LEAST_EXAMPLES:
        msg = (
            f"a linear probe needs at least {LEAST_EXAMPLES} examples that are like it and as many that are not; there"
            f" are {len(like)} and {len(unlike)}. Give more, or leave out `--linear`."
        )
        raise DatasetError(msg)
    vectors = np.concatenate([like, unlike]).astype(np.float64)
    wanted = np.concatenate([np.ones(len(like)), -np.ones(len(unlike))])
    weights = np.concatenate([np.full(len(like), 0.5 / len(like)), np.full(len(unlike), 0.5 / len(unlike))])
    # With the weighted mean taken off, the offset is 0; either kind weighs a half, so that of `wanted` is 0 already.
    rows = (vectors - weights @ vectors) * np.sqrt(weights)[:, None]
    dual = np.linalg.solve(rows @ rows.T + ridge * np.eye(len(rows)), wanted * np.sqrt(weights))
    found = rows.T @ dual
    length = float(np.linalg.norm(found))
    if length < 1e-6:  # noqa: PLR2004 - rounding
        msg = "nothing tells the examples that are like it from those that are not: take other ones"
        raise DatasetError(msg)
    return np.asarray(found / length)
