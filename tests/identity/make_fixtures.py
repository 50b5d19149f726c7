"""Make mgrs_cases.csv and mgrs_rows.csv anew with GeographicLib's GeoConvert (Debian: geographiclib-tools).

Run by hand, not by the tests.

``reference`` follows the identifier's rule by GeoConvert's own means: it rounds the position to 1 mm, then writes that
position's reference; the band letter is the one it gives for longitude and latitude. ``finest`` is its reference of the
same place to the micrometre without rounding, ``easting`` and ``northing`` the corner it reads from that.
"""

import csv
import random
import subprocess
from itertools import product
from pathlib import Path

HERE = Path(__file__).parent
BANDS = "CDEFGHJKLMNPQRSTUVWX"
COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")
ROWS = "ABCDEFGHJKLMNPQRSTUV"
NUDGE = 0.0000002
"""Degrees: 2 cm, clear of the half millimetre within which rounding may move a place over a border."""


def geoconvert(lines: list[str], *options: str) -> list[str]:
    """Give GeoConvert's answer to each line; one it refuses starts with ERROR."""
    done = subprocess.run(
        ["GeoConvert", *options], input="\n".join(lines) + "\n", capture_output=True, text=True, check=False
    )
    answers = done.stdout.splitlines()
    if len(answers) != len(lines):
        msg = f"GeoConvert gave {len(answers)} answers to {len(lines)} lines: {done.stderr}"
        raise RuntimeError(msg)
    return answers


def places() -> list[tuple[str, float, float]]:
    """Give (kind, longitude, latitude): places where an implementation goes wrong, and some anywhere."""
    around = (-NUDGE, 0.0, NUDGE)
    found: list[tuple[str, float, float]] = []
    for lon, lat in product([float(border) for border in range(-180, 180, 24)], (-79.9, -40.1, -0.5, 0.5, 40.1, 83.9)):
        found += [("zone border", lon + step, lat) for step in around]
    for edge in range(-80, 80, 8):
        found += [("band border", lon, edge + step) for lon in (-177.3, 3.5, 100.0) for step in around]
    for lon, lat in product((3.0, 6.0, 9.0, 12.0), (55.5, 56.5, 60.0, 63.5, 64.5)):
        found += [("Norway", lon + step, lat) for step in around]
    for lon, lat in product(
        (0.0, 6.0, 9.0, 12.0, 18.0, 21.0, 24.0, 30.0, 33.0, 36.0, 42.0), (71.5, 72.0, 78.0, 83.999)
    ):
        found += [("Svalbard", lon + step, lat) for step in around]
    for lon in (-180, -179.99, -77.5, -0.001, 0, 3, 102.7, 179.99):
        found += [("equator", lon, lat) for lat in (-0.000002, -NUDGE, 0.0, NUDGE, 0.000002)]
    for lon in (-180, -135, -90.0001, -45, -0.001, 0, 45, 89.9, 179.999):
        found += [("84 N", lon, 84 + step) for step in around]
        found += [("80 S", lon, -80 + step) for step in around]
        found += [("cap", lon, lat) for lat in (86.3, 89.99, -81.7, -88.8)]
    found += [("pole", 0.0, 90.0), ("pole", 0.0, -90.0)]
    for lat in (-79.5, -33.3, 0.0, 12.5, 65.0, 83.7, 85.0, -85.0):
        found += [("antimeridian", lon, lat) for lon in (-180.0, 180.0, 180 - NUDGE, -180 + NUDGE)]
    rng = random.Random(20_240_601)  # noqa: S311 - a seeded choice of places
    found += [("anywhere", rng.uniform(-180, 180), rng.uniform(-90, 90)) for _ in range(250)]
    return found


def reference(direct: str, snapped: str, digits: int) -> str:
    """Cut the snapped reference to ``digits``, with the band letter of the direct one where both name the same
    square.
    """
    letters = 5 if direct[0].isdigit() else 3
    square, half = snapped[:letters], (len(snapped) - letters) // 2
    if letters == 5 and direct[:2] + direct[3:5] == snapped[:2] + snapped[3:5]:
        square = direct[:letters]
    return square + snapped[letters : letters + digits] + snapped[letters + half : letters + half + digits]


def cases() -> list[list[str]]:
    """One row for each place."""
    kinds, lons, lats = zip(*places(), strict=True)
    lonlat = [f"{lat:.10f} {lon:.10f}" for lon, lat in zip(lons, lats, strict=True)]
    direct = geoconvert(lonlat, "-m", "-p", "6")
    millimetres = geoconvert(lonlat, "-u", "-p", "3")
    # Fifty micrometres into the millimetre, so that the decimal number's binary neighbour is truncated to the same
    # millimetre.
    snapped = geoconvert(
        [" ".join(part + "05" if "." in part else part for part in line.split()) for line in millimetres],
        "-m",
        "-p",
        "3",
    )
    corners = geoconvert(direct, "-n", "-u", "-p", "6")
    rows = []
    for index, (kind, lon, lat) in enumerate(zip(kinds, lons, lats, strict=True)):
        digits = index % 9
        *zone, easting, northing = corners[index].split()
        rows.append(
            [
                kind,
                f"{lon:.10f}",
                f"{lat:.10f}",
                str(digits),
                reference(direct[index], snapped[index], digits),
                direct[index],
                "".join(zone),
                easting,
                northing,
            ]
        )
    return rows


def rows_of_squares() -> list[list[str]]:
    """For each band and column of an odd and an even zone, the row letters that GeoConvert takes, and the northing of
    each, km.
    """
    keys = [(zone, band, column) for zone in (31, 32) for band in BANDS for column in COLUMNS[zone % 3]]
    squares = [f"{zone}{band}{column}{row}" for zone, band, column in keys for row in ROWS]
    answers = iter(geoconvert(squares, "-n", "-u", "-p", "0"))
    table = []
    for zone, band, column in keys:
        northings = {row: next(answers) for row in ROWS}
        legal = {
            row: int(answer.split()[2]) // 1000 for row, answer in northings.items() if not answer.startswith("ERROR")
        }
        table.append([f"{zone:02d}", band, column, " ".join(f"{row}{northing}" for row, northing in legal.items())])
    return table


def write(name: str, header: list[str], rows: list[list[str]]) -> None:
    """Write a CSV beside this script."""
    with (HERE / name).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    write(
        "mgrs_cases.csv",
        ["kind", "lon", "lat", "digits", "reference", "finest", "zone", "easting", "northing"],
        cases(),
    )
    write("mgrs_rows.csv", ["zone", "band", "column", "rows"], rows_of_squares())
