"""All the real imagery and Items at hand in one call of ``clayline embed``, unattended, each as the table of
docs/inputs.md says ("Real imagery and Items"); what ``explain`` says of each is held by its own tests.
"""

import json
from pathlib import Path

import pytest

from clayline_cli.program import main

pytestmark = pytest.mark.pipeline

FOLDERS = (
    "s2_29RKH_sahara_2020", "s2_29UNU_ireland_2022_60m", "s2_aquileia_2019", "landsat8_itaipu_2020",
    "landsat8_colombia_2019", "naip_north_dakota", "s1_spain_2019", "items",
)  # fmt: skip
EMBEDDED = {
    "S2A_29RKH_20200219_0_L2A.json": (324, 0),
    "S2A_29UNU_20221005_0_L2A_60m.json": (511, 330),
    "S2_L2A_aquileia_20190416.tif": (230, 10),
    "LC08_L2SP_008059_20191201_20200825_02_T1_SR_stac.json": (62, 19),
    "m_4709963_se_14_1_20150926.tif": (192, 0),
    "m_4709963_se_14_1_20200831.tif": (192, 0),
}
"""Chips written, and skipped because they hold no valid pixel."""
REFUSED = {
    **{f"LC08_L1TP_22407{row}_20200518_20200518_01_RT_B{band}.TIF": "no-bands" for row in (7, 8) for band in (2, 3, 4)},
    "Spain_7370579_S1Hand.tif": "unknown-product",
    "earth-search-v0-sentinel-s2-l2a-cogs.json": "forbidden-href",
    "earth-search-v1-sentinel-2-l2a.json": "forbidden-href",
    "pc-landsat-c2-l2-LC09.json": "asset-missing",
    "pc-landsat-c2-l2-LE07.json": "untrained-sensor",
    "pc-naip.json": "forbidden-href",
    "pc-sentinel-1-rtc.json": "forbidden-href",
    "pc-sentinel-2-l2a.json": "forbidden-href",
    "planet-psscene-v1.0-beta.json": "unknown-product",
    "usgs-landsat-c2l2-sr-LC08.json": "forbidden-href",
}


def test_all_of_it_in_one_call(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["embed", *(str(shared_data / folder) for folder in FOLDERS), "--any-gsd", "--any-pixel-shape"]
    assert main([*call, "--no-picture", "--json", "--quiet", "--out", str(tmp_path)]) == 1, "some are refused"
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    written, refused = {}, {}
    for each in told:
        name = each["scene"].rpartition("/")[2]
        if each["status"] == "SceneEmbedded":
            counts = each["event"]["counts"]
            written[name] = (counts["written"], counts["skipped"].get("nodata", 0))
            assert sum(written[name]) == counts["planned"], counts
        else:
            refused[name] = each["event"]["reason"]
    assert (written, refused) == (EMBEDDED, REFUSED)
