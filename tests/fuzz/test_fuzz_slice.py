"""A slice of the fuzz run (`make fuzz`, docs/testing.md): the same cases each time, no clock."""

from collections import Counter
from pathlib import Path

import pytest
from tests.fuzz.subjects import Subjects

CASES, SEED, SHARE = 500, 9, 0.3


@pytest.mark.filterwarnings("ignore")  # rasterio's, of files without a place, and of GDAL's words that are not UTF-8
def test_no_input_of_a_slice_crashes_and_enough_reach_pixels_or_tensors(tmp_path: Path) -> None:
    subjects = Subjects(folder=tmp_path)
    found = [subjects.case(SEED, number) for number in range(CASES)]
    assert sum(reached for _, reached, _ in found) >= SHARE * CASES
    assert set(Counter(name for name, _, _ in found)) == set(subjects.all)
    assert {"tiff", "request", "response"} == {name for name, reached, _ in found if reached}
