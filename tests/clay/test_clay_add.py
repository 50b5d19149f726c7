"""`python -m clay add`.

What nobody said is what the folder's other entries have, and where those differ, somebody has to say it.
"""

import json
import shutil
from pathlib import Path

import pytest

from clay.__main__ import main
from clayline.model.manifest import Manifest, ModelEntry, read_manifest

FOLDER = "untrained-tiny-loss-v1.5"
LINE = (
    "linz: as the folder's other entries: --chip 64 --coordinate-order latlon --hour acquisition --mask-ratio 0.5"
    " --mask-seed 3"
)


def manifest_of(folder: Path) -> Manifest:
    return read_manifest((folder / "manifest.json").read_bytes(), source=str(folder))


@pytest.fixture(scope="module")
def unusual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one entry, of which every choice is another than the usual. Not to be changed."""
    out = tmp_path_factory.mktemp("unusual")
    choices = [
        "--chip",
        "64",
        "--gsd",
        "0.6",
        "--coordinate-order",
        "latlon",
        "--hour",
        "acquisition",
        "--mask-ratio",
        "0.5",
    ]
    command = [
        "export",
        "--size",
        "tiny",
        "--loss",
        "--sensor",
        "naip",
        *choices,
        "--mask-seed",
        "3",
        "--out",
        str(out),
    ]
    assert main(command) == 0
    return out / FOLDER


@pytest.fixture
def folder(unusual: Path, tmp_path: Path) -> Path:
    return shutil.copytree(unusual, tmp_path / FOLDER)


def add(folder: Path, *arguments: str) -> int:
    return main(["add", str(folder), *arguments])


def choices(entry: ModelEntry) -> tuple[object, ...]:
    return entry.chip_size, entry.gsd, entry.options.coordinate_order, entry.options.hour, entry.loss_metric


def test_another_sensor_is_asked_for_as_the_others_were(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert add(folder, "--sensor", "linz") == 0
    assert LINE in capsys.readouterr().out.splitlines()
    naip, linz = manifest_of(folder).entries
    assert choices(naip) == (64, 0.6, "latlon", "acquisition", "masked-l1-m0.5-k1-s3")
    assert choices(linz) == (64, 0.5, "latlon", "acquisition", "masked-l1-m0.5-k1-s3"), "a GSD is the sensor's own"
    assert linz.token == f"{FOLDER}-linz-c64-latlon-hour-m5-s3"[:48] or len(linz.token) <= 48


def test_other_bands_of_a_sensor_have_its_entrys_gsd(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert add(folder, "--sensor", "naip", "--bands", "red,nir") == 0
    assert (
        "naip: as the folder's other entries: --chip 64 --gsd 0.6 --coordinate-order latlon" in capsys.readouterr().out
    )
    first, second = manifest_of(folder).entries
    assert second.bands == ("red", "nir")
    assert choices(second) == choices(first)


def test_a_flag_counts_more_than_the_other_entries(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [
        "--chip",
        "32",
        "--gsd",
        "1",
        "--coordinate-order",
        "lonlat",
        "--hour",
        "noon",
        "--mask-ratio",
        "0.75",
        "--mask-seed",
        "0",
    ]
    assert add(folder, "--sensor", "naip", *flags) == 0
    assert "as the folder's" not in capsys.readouterr().out
    assert choices(manifest_of(folder).entries[1]) == (32, 1.0, "lonlat", "noon", "masked-l1-m0.75-k1-s0")


def test_where_entries_differ_somebody_has_to_say_which(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {
        "--chip": "32",
        "--gsd": "1",
        "--coordinate-order": "lonlat",
        "--hour": "noon",
        "--mask-ratio": "0.75",
        "--mask-seed": "0",
    }
    assert add(folder, "--sensor", "naip", *(word for pair in given.items() for word in pair)) == 0
    first, second = manifest_of(folder).entries
    before = (folder / "manifest.json").read_bytes()
    for flag, value in given.items():
        others = [word for pair in given.items() for word in pair if pair[0] != flag]
        capsys.readouterr()
        assert add(folder, "--sensor", "naip", "--bands", "red", *others) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"refused: {first.token} has {flag} ")
        assert f", {second.token} has {value}" in said.replace("1.0:", "1:")
        assert said.endswith(f": say which with {flag}\n")
    assert (folder / "manifest.json").read_bytes() == before
    # Of a sensor that the folder does not have, the GSD is its own, so nothing is to be said of it.
    rest = [word for pair in given.items() for word in pair if pair[0] != "--gsd"]
    assert add(folder, "--sensor", "linz", *rest) == 0


def test_a_mask_for_a_folder_without_a_loss_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            [
                "export",
                "--size",
                "tiny",
                "--sensor",
                "sentinel-1-rtc",
                "--sensor",
                "linz",
                "--chip",
                "64",
                "--out",
                str(tmp_path),
            ]
        )
        == 0
    )
    (folder,) = tmp_path.iterdir()
    given = {
        entry["sensor"]: entry.get("decibel", "not given")
        for entry in json.loads((folder / "manifest.json").read_text())["entries"]
    }
    assert given == {"sentinel-1-rtc": True, "linz": "not given"}
    assert "| float32, linear power |" in (folder / "card.md").read_text()
    assert add(folder, "--sensor", "naip", "--mask-seed", "1") == 1
    assert "leave --mask-ratio and --mask-seed out" in capsys.readouterr().err
    assert len(manifest_of(folder).entries) == 2
