"""Too little memory for a micro-batch: how ONNX Runtime says so, and what is remembered of it."""

from threading import Lock
from typing import Final

_SIGNS: Final = (
    "failed to allocate memory",  # the arena's, of a CPU or a GPU
    "smaller than requested bytes",  # the same, when the arena has a limit
    "bad_alloc",  # a CPU allocation beside the arena
    "out of memory",  # CUDA's error 2
    "alloc_failed",  # CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_ALLOC_FAILED
    "allocation_failed",  # cuDNN 9's names for it
)
"""In lower case. ONNX Runtime has no error class for it: only the text of its RuntimeError tells."""


def out_of_memory(error: BaseException) -> bool:
    """Tell whether a failed run may succeed with fewer chips."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _SIGNS)


class ChipLimit:
    """The most chips that one run of an entry may take.

    None is known until memory did not suffice, then it only falls.
    """

    def __init__(self) -> None:
        self._most: int | None = None
        self._lock = Lock()

    def cap(self, wanted: int) -> int:
        """Give ``wanted``, or the limit where that is lower."""
        most = self._most
        return wanted if most is None else min(wanted, most)

    def keep(self, worked: int) -> bool:
        """Take ``worked``, the size that fitted after a larger one did not, for the life of the process.

        Give whether that is news.
        """
        with self._lock:
            if self._most is not None and self._most <= worked:
                return False
            self._most = worked
            return True
