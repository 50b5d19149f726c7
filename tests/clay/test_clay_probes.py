"""Real pixels for fp16 and int8.

The report says of which entries it has none, and an export with a probe mends that.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from clay.__main__ import main

FOLDER = "untrained-tiny-int8-v1.5"
LANDSAT, NAIP, LINZ = (f"{FOLDER}-{sensor}-c64" for sensor in ("ls-c2l1", "naip", "linz"))
UNMEASURED = "not measured on real pixels: give --probe/PROBE=scene.tif, a GeoTIFF with its bands, to an export"


def probe(path: Path, bands: int) -> str:
    pixels = np.random.default_rng(bands).integers(0, 255, (bands, 200, 150)).astype(np.uint8)
    profile = {"driver": "GTiff", "width": 150, "height": 200, "count": bands, "dtype": "uint8", "crs": "EPSG:32632"}
    with rasterio.open(path, "w", **profile, transform=rasterio.transform.from_origin(5e5, 5e6, 1, 1)) as file:
        file.write(pixels)
    return str(path)


def export(out: Path, *arguments: str, bands: str = "red,green,blue", precision: str = "int8") -> int:
    return main(
        [
            "export",
            "--size",
            "tiny",
            "--chip",
            "64",
            "--precision",
            precision,
            "--bands",
            bands,
            "--out",
            str(out),
            *arguments,
        ]
    )


def test_an_entry_without_real_pixels_says_so_until_it_gets_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sensors = ["--sensor", "naip", "--sensor", "landsat-c2l1", "--sensor", "linz"]
    naip = f"{NAIP}-rgb"
    assert export(tmp_path, *sensors) == 0
    folder = tmp_path / FOLDER
    said, card = capsys.readouterr().out.splitlines(), (folder / "card.md").read_text()
    assert [line for line in said if "not measured" in line] == [f"{naip}: {UNMEASURED}", f"{LINZ}: {UNMEASURED}"]
    assert [line for line in card.splitlines() if "not measured" in line] == [
        f"* `{naip}`: {UNMEASURED}.",
        f"* `{LINZ}`: {UNMEASURED}.",
    ]
    manifest = (folder / "manifest.json").read_bytes()
    # Both probes fit both entries: each goes to the first that has none.
    assert (
        export(
            tmp_path,
            "--sensor",
            "naip",
            "--sensor",
            "linz",
            "--probe",
            probe(tmp_path / "a.tif", 3),
            "--probe",
            probe(tmp_path / "b.tif", 3),
        )
        == 0
    )
    assert "not measured" not in capsys.readouterr().out
    assert "not measured" not in (folder / "card.md").read_text()
    accuracy = json.loads((folder / "metrics.json").read_text())["accuracy"]
    assert accuracy.keys() == {naip, f"{LANDSAT}-rgb", LINZ}
    assert all(kinds.keys() == {"real", "synthetic"} for kinds in accuracy.values())
    assert (folder / "manifest.json").read_bytes() == manifest
    assert main(["add", str(folder), "--sensor", "planetscope-sr", "--bands", "red"]) == 0
    added = f"{FOLDER}-ps-sr-c64-r: {UNMEASURED}"
    assert [line for line in capsys.readouterr().out.splitlines() if "not measured" in line] == [added]


def test_float32_is_measured_against_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(tmp_path, "--sensor", "linz", precision="fp32") == 0
    assert "not measured" not in capsys.readouterr().out
    assert "not measured" not in (tmp_path / "untrained-tiny-v1.5" / "card.md").read_text()


def test_a_probe_too_many_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    probes = ["--probe", probe(tmp_path / "a.tif", 3)] * 2
    assert export(tmp_path / "out", "--sensor", "linz", *probes) == 1
    assert "none of the entries does: each has its probe" in capsys.readouterr().err
