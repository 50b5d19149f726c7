"""Each real scene at hand through ``clayline explain``, as it comes and with the options that it needs.

What is expected is the table of docs/inputs.md, "Real imagery and Items".
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.cli.explained import explained, model_of, read, warned

from clayline_cli.program import main

pytestmark = pytest.mark.usefixtures("nothing_starts")

ANY = ("--any-gsd", "--any-pixel-shape")
SPAIN = ("--sensor", "sentinel-1-rtc", "--datetime", "2019-02-20")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A scene, how it is given, and what is to come of it."""

    where: str
    options: tuple[str, ...] = ()
    reason: str | None = None
    """None: it would be embedded."""
    says: str = ""
    """In the message of a refusal."""
    product: str | None = None
    """Family in the sensor's file, of what would be embedded."""
    instrument: str | None = None
    bands: dict[str, str] = field(default_factory=dict)
    """File, and number in it, by Clay's name."""
    mask: str | None = None
    boa: tuple[str, int] | None = None
    """What decided on Sentinel-2's offset, and what is added to each number."""
    tile: str | None = None
    warnings: tuple[str, ...] = ()
    grid: tuple[int, int] = (0, 0)
    """Rows and columns of chips."""
    gsd: float = 0


SAHARA = "s2_29RKH_sahara_2020"
IRELAND = "s2_29UNU_ireland_2022_60m"
AQUILEIA = "s2_aquileia_2019"
COLOMBIA = "landsat8_colombia_2019"
NAIP = "naip_north_dakota/m_4709963_se_14_1_{}.tif"
S2_FILES = {"red": "B04.tif", "green": "B03.tif", "blue": "B02.tif", "nir08": "B8A.tif", "swir16": "B11.tif"}
L2 = "LC08_L2SP_008059_20191201_20200825_02_T1_SR_B{}.TIF"


def _naip(date: str) -> Case:
    return Case(
        where=NAIP.format(date), options=ANY, product="naip", instrument="naip-rgbn",
        bands={name: f"m_4709963_se_14_1_{date}.tif#{at}" for at, name in enumerate(("red", "green", "blue"), start=1)},
        grid=(12, 16), gsd=5,
    )  # fmt: skip


CASES = {
    "sahara, as it comes": Case(where=SAHARA, reason="wrong-gsd", says="its GSD is 100.000 m"),
    "sahara": Case(
        where=SAHARA, options=ANY, product="sentinel-2-l2a", instrument="s2a-msi-l2a", bands=S2_FILES, mask="scl",
        boa=("earthsearch:boa_offset_applied", 0), tile="29RKH", warnings=("item-disagrees",), grid=(18, 18), gsd=100,
    ),
    "ireland, as it comes": Case(where=IRELAND, reason="wrong-gsd", says="its GSD is 60.000 m"),
    "ireland": Case(
        where=IRELAND, options=ANY, product="sentinel-2-l2a", instrument="s2a-msi-l2a", bands=S2_FILES, mask="scl",
        boa=("s2:boa_add_offset", -1000), tile="29UNU", grid=(29, 29), gsd=60,
    ),
    "aquileia, as it comes": Case(where=AQUILEIA, reason="wrong-gsd", says="its GSD is 13.962 m"),
    "aquileia": Case(
        where=AQUILEIA, options=ANY, product="sentinel-2-l2a", instrument="s2-msi-l2a",
        bands={
            name: f"S2_L2A_aquileia_20190416.tif#{at}"
            for name, at in {"red": 3, "green": 2, "blue": 1, "nir08": 8, "swir16": 9}.items()
        },
        boa=("acquisition-date", 0), grid=(12, 20), gsd=13.962,
    ),
    "colombia, as it comes": Case(where=COLOMBIA, reason="not-square", says="444.963 m wide and 453.755 m high"),
    "colombia, any shape": Case(where=COLOMBIA, options=("--any-pixel-shape",), reason="wrong-gsd", says="449.158 m"),
    "colombia": Case(
        where=COLOMBIA, options=ANY, product="landsat-oli-c2l2", instrument="landsat8-oli-c2l2",
        bands={
            name: L2.format(at) for name, at in {"red": 4, "green": 3, "blue": 2, "nir08": 5, "swir16": 6}.items()
        },
        mask="qa_pixel", warnings=("not-square",), grid=(9, 9), gsd=449.158,
    ),
    "naip 2015, as it comes": Case(where=NAIP.format("20150926"), reason="wrong-gsd", says="its GSD is 5.000 m"),
    "naip 2015": _naip("20150926"),
    "naip 2020, as it comes": Case(where=NAIP.format("20200831"), reason="wrong-gsd", says="its GSD is 5.000 m"),
    "naip 2020": _naip("20200831"),
    "spain, as it comes": Case(where="s1_spain_2019", reason="unknown-product", says="Set --sensor to one of"),
    "spain, its sensor said": Case(
        where="s1_spain_2019", options=SPAIN[:2], reason="no-acquisition-time", says="--datetime"
    ),
    "spain, with the starter": Case(where="s1_spain_2019", options=SPAIN, reason="no-model-entry", says="[vh vv]"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_scene_has_its_outcome(name: str, shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = CASES[name]
    [told] = explained(capsys, shared_data / case.where, *case.options)
    _check(case, told)


def _check(case: Case, told: dict[str, Any]) -> None:
    assert (told["status"], told["reason"]) == ("WouldRefuse" if case.reason else "WouldEmbed", case.reason), told[
        "message"
    ]
    if case.reason:
        assert case.says in told["message"]
        assert told["plan"] is None
        return
    plan, scene = told["plan"], told["plan"]["scene"]
    assert (scene["product"], told["taken_for"]["instrument"]) == (case.product, case.instrument)
    files = {each: f"{file}#{number}" for each, (file, number) in read(told).items()}
    assert files == {each: file if "#" in file else f"{file}#1" for each, file in case.bands.items()}
    assert (plan["mask"]["name"] if plan["mask"] else None) == case.mask
    decided, offset = case.boa or (None, 0)
    assert scene["boa_decided_by"] == decided
    assert {band["offset"] for band in plan["bands"]} == {offset}
    assert (told["taken_for"]["tile"], scene["location"]) == (case.tile, "window" if case.tile else "point")
    assert tuple(warned(told)) == case.warnings
    assert (plan["grid"]["rows"], plan["grid"]["cols"]) == case.grid
    assert scene["gsd"] == pytest.approx(case.gsd, abs=0.001)


def test_the_bundled_scene_needs_nothing(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [told] = explained(capsys, sample)
    bands = {"red": "B4.tif", "green": "B3.tif", "blue": "B2.tif"}
    _check(
        Case(where="", product="landsat-oli-l1", instrument="landsat8-oli-l1", bands=bands, grid=(30, 33), gsd=30),
        told,
    )


def test_bands_of_a_folder_without_an_item_are_six_scenes_and_none(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One band a file, whose bands bear no name: nothing says which files belong together."""
    told = explained(capsys, shared_data / "landsat8_itaipu_2020")
    assert [each["reason"] for each in told] == ["no-bands"] * 6
    for each in told:
        assert "none of its 1 bands is named after a band of landsat-c2l1" in each["message"]
        assert "red (B4 B04 SR_B4)" in each["message"]


def test_a_folder_without_a_scene_says_so(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for others in ([], [str(shared_data / AQUILEIA)]):
        assert main(["explain", *others, str(shared_data / "clay_v0_sample")]) == 2
        told = capsys.readouterr()
        assert (told.out, "holds no STAC Item and no GeoTIFF" in told.err) == ("", True)


def test_decibels_that_no_file_declares_are_told_of(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model wants linear power, the numbers are below zero: seen by looking at them."""
    model = model_of(tmp_path, "sentinel-1-rtc", dtype="float32")
    given = (shared_data / "s1_spain_2019", *SPAIN, "--model", model)
    [told] = explained(capsys, *given)
    assert told["reason"] == "not-square"
    [told] = explained(capsys, *given, *ANY)
    assert told["status"] == "WouldEmbed", told["message"]
    assert warned(told) == ["not-square", "implausible-units"]
    [told] = explained(capsys, *given, *ANY, "--implausible-units", "fail")
    assert told["reason"] == "implausible-units"
