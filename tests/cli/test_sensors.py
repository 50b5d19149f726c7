"""``clayline sensors``: the list, why a scene is taken for a product, and the check of a sensor's file."""

import json
from pathlib import Path

import pytest

from clayline.scene.sensor_file import known_with
from clayline_cli.arguments import check_sensor
from clayline_cli.program import main
from clayline_cli.staging.assets import of_bands

MINE = """\
sensor: mine
gsd: 5
bands:
  - {name: red, mean: 1, std: 2, wavelength: 0.65}
products:
  - name: mine
    collections: [my-scenes]
    platforms: [{pattern: '', token: mine}]
"""


def test_it_lists_all_with_their_products(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sensors"]) == 0
    told = capsys.readouterr().out
    for name in ("sentinel-2-l2a", "planetscope-sr", "naip", "linz", "sentinel-1-rtc", "modis", "landsat-c2l1"):
        assert f"\n{name}   " in f"\n{told}"
    assert "landsat-etm-c2l2   not trained on: --untrained-sensors" in told
    assert "collections: landsat-c2-l2, landsat-c2l2-sr" in told


def _item(folder: Path, **said: object) -> str:
    asset = {"href": "./a.tif", "type": "image/tiff"}
    content = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "x",
        "collection": "landsat-c2-l2",
        "properties": said,
        "assets": {"SR_B3": asset, "B99": asset},
    }
    path = folder / "item.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_why_says_what_matched_and_what_did_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sensors", "--why", _item(tmp_path, platform="landsat-7")]) == 0
    told = capsys.readouterr().out
    assert "taken for landsat-etm-c2l2" in told
    assert "for      platform 'landsat-7'" in told
    assert "against  platform 'landsat-7' is one of landsat-etm-c2l2" in told
    assert "red            asset 'SR_B3', band 1" in told
    assert "swir16         not found" in told
    assert "not recognised: asset 'B99'" in told


def test_why_says_what_is_ambiguous(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sensors", "--why", _item(tmp_path)]) == 1
    assert "refused: ambiguous-sensor" in capsys.readouterr().out


def test_why_takes_a_files_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sensors", "--why", "LE07_L2SP_008059_20191201.tif"]) == 0
    assert "taken for landsat-etm-c2l2" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["nosuch", "nosuch.json"])
def test_why_says_that_there_is_no_such_file(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sensors", "--why", str(tmp_path / name)]) == 2
    assert f"there is no file {tmp_path / name}. Give" in capsys.readouterr().err


def test_files_are_checked_and_counted_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    assert main(["sensors", "--validate", str(tmp_path)]) == 0
    assert "mine.yaml: mine, 1 bands, 1 products" in capsys.readouterr().out
    assert main(["sensors", "--sensors", str(tmp_path)]) == 0
    assert "my-scenes" in capsys.readouterr().out
    (tmp_path / "other.yaml").write_text(MINE.replace("gsd: 5", "gsd: -5"))
    assert main(["sensors", "--validate", str(tmp_path)]) == 1
    assert "other.yaml: gsd: Input should be greater than 0" in capsys.readouterr().err
    (tmp_path / "other.yaml").write_text(MINE)
    assert main(["sensors", "--sensors", str(tmp_path)]) == 2
    assert "is the name of another sensor or product" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "told"), [("{", "not valid JSON"), ("[]", "no STAC Item")])
def test_what_is_no_item_is_told(text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.json").write_text(text)
    assert main(["sensors", "--why", str(tmp_path / "x.json")]) == 2
    assert told in capsys.readouterr().err


def test_every_size_of_a_band_is_made_ready(tmp_path: Path) -> None:
    """Which is read depends on the model's entry, which the command does not ask for."""
    keys = ("B04_60m", "B04_10m", "AOT_10m")
    assets = {key: {"href": f"./{key}.tif", "type": "image/tiff"} for key in keys}
    content = {**json.loads(Path(_item(tmp_path)).read_text()), "collection": "sentinel-2-l2a", "assets": assets}
    assert of_bands(content) == ["B04_60m", "B04_10m"]


def test_a_sensor_named_on_the_command_line_may_be_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    check_sensor("mine", known_with({"mine.yaml": MINE.encode()}).products)
    with pytest.raises(SystemExit):
        main(["explain", "x.tif", "--sensor", "yours", "--sensors", str(tmp_path)])
    told = capsys.readouterr().err
    assert "argument --sensor: 'yours' is no sensor that is known" in told
    assert "mine" in told
    (tmp_path / "mine.yaml").write_text("sensor: 5")
    with pytest.raises(SystemExit):
        main(["explain", "x.tif", "--sensor", "mine", "--sensors", str(tmp_path)])
    assert "mine.yaml: sensor: " in capsys.readouterr().err
