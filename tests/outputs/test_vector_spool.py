"""The spool against a plain array in memory."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clayline.outputs.spool import VectorSpool


@given(st.data(), st.integers(1, 60), st.integers(1, 9))
def test_what_was_put_anywhere_is_read_in_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, rows: int, dimensions: int
) -> None:
    path = tmp_path_factory.mktemp("spool") / "vectors"
    expected = np.arange(rows * dimensions, dtype=np.float32).reshape(rows, dimensions)
    order = data.draw(st.permutations(range(rows)))
    with VectorSpool(path, rows, dimensions) as spool:
        while order:
            count = data.draw(st.integers(1, len(order)))
            positions, order = np.array(order[:count]), order[count:]
            spool.put(positions, expected[positions])
            assert spool.missing == len(order)
        start = data.draw(st.integers(0, rows - 1))
        stop = data.draw(st.integers(start + 1, rows))
        assert np.array_equal(spool.read(start, stop), expected[start:stop])
        assert path.stat().st_size == rows * dimensions * 4
    assert not path.exists()


def test_the_callers_array_stays_the_callers(tmp_path: Path) -> None:
    with VectorSpool(tmp_path / "vectors", 4, 2) as spool:
        wide = np.arange(16, dtype=np.float32).reshape(4, 4)
        spool.put(np.array([3, 1, 2, 0]), wide[:, 1:3])  # not contiguous
        first = spool.read(0, 4)
        assert first.tolist() == [[13, 14], [5, 6], [9, 10], [1, 2]]
        first[:] = 0
        assert spool.read(0, 1).tolist() == [[13, 14]]


def test_a_row_that_was_never_written_is_no_row_of_zeros(tmp_path: Path) -> None:
    with VectorSpool(tmp_path / "vectors", 5, 2) as spool:
        spool.put(np.array([0, 1, 4]), np.ones((3, 2), dtype=np.float32))
        assert spool.missing == 2
        spool.read(0, 2)
        with pytest.raises(ValueError, match=r"position 2 was never written \(2 of rows 1 to 5"):
            spool.read(1, 5)


@pytest.mark.parametrize("second", [[1, 2], [3, 3]])
def test_a_chip_never_has_two_vectors(tmp_path: Path, second: list[int]) -> None:
    with VectorSpool(tmp_path / "vectors", 5, 1) as spool:
        spool.put(np.array([0, 1]), np.array([[1], [2]], dtype=np.float32))
        with pytest.raises(ValueError, match="has two vectors"):
            spool.put(np.array(second), np.array([[3], [4]], dtype=np.float32))
        assert spool.missing == 3
        assert spool.read(0, 2).tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("positions", "shape", "dtype", "what"),
    [
        ([5], (1, 2), np.float32, "do not lie within"),
        ([-1], (1, 2), np.float32, "do not lie within"),
        ([0], (1, 3), np.float32, "need float32"),
        ([0, 1], (1, 2), np.float32, "need float32"),
        ([0], (1, 2), np.float64, "need float32"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, positions: list[int], shape: tuple[int, int], dtype: type[np.generic], what: str
) -> None:
    with VectorSpool(tmp_path / "vectors", 5, 2) as spool:
        with pytest.raises(ValueError, match=what):
            spool.put(np.array(positions), np.zeros(shape, dtype=dtype))
        assert spool.missing == 5


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (2, 1), (-1, 1), (0, 6)])
def test_only_rows_there_are_can_be_read(tmp_path: Path, start: int, stop: int) -> None:
    with VectorSpool(tmp_path / "vectors", 5, 2) as spool:
        spool.put(np.arange(5), np.zeros((5, 2), dtype=np.float32))
        with pytest.raises(ValueError, match="do not lie within"):
            spool.read(start, stop)


def test_what_a_killed_run_left_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(b"\x01" * 1000)
    with VectorSpool(path, 5, 2) as spool:
        assert path.stat().st_size == 0
        assert spool.missing == 5


def test_a_failure_removes_the_file_too(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    with pytest.raises(RuntimeError, match="batch"), VectorSpool(path, 5, 2):
        raise RuntimeError("batch")
    assert not path.exists()


@pytest.mark.parametrize(("rows", "dimensions"), [(0, 4), (4, 0)])
def test_a_spool_of_nothing_is_refused(tmp_path: Path, rows: int, dimensions: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        VectorSpool(tmp_path / "vectors", rows, dimensions)
