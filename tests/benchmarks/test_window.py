"""The benchmark of a 5 km window, small: both ways read the same chips, and ours fewer bytes."""

from pathlib import Path

from benchmarks import window


def test_a_window_costs_some_row_groups_and_two_dates_no_more(tmp_path: Path) -> None:
    told = window.measure(tmp_path, scenes=3, windows=3)
    assert told["chips"] == 3 * 43 * 43
    assert told["fewer_bytes"] > 1.5
    assert told["window_rows"][0] >= 3 * 4
    assert told["two_dates"]["mb"][2] <= told["all_dates"]["mb"][2]
    least, _, most = told["all_dates"]["requests"]
    # listing, manifest, part, footer; at most four row groups, looked at first, of each the runs of rows of four chips
    assert 5 <= least <= most <= 4 + 4 * (1 + 4)
    assert not list(tmp_path.glob("scratch/*"))
