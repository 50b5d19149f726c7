"""All the real imagery and Items at hand in one call of ``clayline embed``, unattended, each as the table of
docs/inputs.md says ("Real imagery and Items"); what ``explain`` says of each is held by its own tests. Then a dataset
of all that was embedded, and what people ask of it, against numpy over the scenes' files.
"""

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from clayline.model.starter import starter_folder
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
    "LC08_L1TP_224078_20200518_20200518_01_RT.json": (841, 149),
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


def ask(*call: str, status: int = 0) -> list[Any]:
    """Give the lines of JSON that a command prints."""
    out = StringIO()
    with redirect_stdout(out):
        assert main([*call, "--json"]) == status, call
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.fixture(scope="module")
def told(shared_data: Path, sample: Path, out: Path) -> list[Any]:
    call = ["embed", *(str(shared_data / folder) for folder in FOLDERS), str(sample), "--any-gsd", "--any-pixel-shape"]
    return ask(*call, "--no-picture", "--no-report", "--quiet", "--out", str(out), status=1)  # some are refused


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("every-scene")


@pytest.fixture(scope="module")
def dataset(told: list[Any], out: Path) -> Path:
    assert told
    for command in ("index", "compact"):
        with redirect_stdout(StringIO()):
            assert main([command, str(out)]) == 0
    return out


def test_all_of_it_in_one_call(told: list[Any]) -> None:
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


def chips_of(out: Path, model: str) -> pa.Table:
    """Give the whole chips of a model's scene files."""
    columns = ["uci", "cell", "embeddings", "valid_fraction", "cloud_fraction"]
    files = sorted(out.glob(f"{model}/*/*.parquet"))
    assert files
    chips = pa.concat_tables([pq.read_table(file, columns=columns).replace_schema_metadata() for file in files])
    return chips.filter(pa.array(np.asarray(chips.column("valid_fraction")) >= np.float32(0.9)))


def texts(chips: pa.Table, column: str) -> list[str]:
    found: Any = chips.column(column).to_pylist()
    return list(found)


def centred(chips: pa.Table, model: str) -> NDArray[np.float64]:
    """[N, D] by the card's mean, of length 1."""
    folder = starter_folder()
    assert folder is not None
    mean = json.loads((folder / "statistics.json").read_bytes())["entries"][model]["mean"]
    away = np.array(chips.column("embeddings").to_pylist()) - np.array(mean, np.float32)
    return np.asarray(away / np.linalg.norm(away, axis=1, keepdims=True))


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("model", ["l1-rgb", "l2-rgbns", "naip-rgb"])
def test_what_is_like_a_chip_of_any_scene(dataset: Path, model: str, exact: bool) -> None:  # noqa: FBT001
    token = f"starter-v1.0-{model}"
    chips = chips_of(dataset, token)
    names, units = texts(chips, "uci"), centred(chips, token)
    for at in (0, len(names) // 2):
        call = ["search", str(dataset), "--like", names[at], "--count", "5"]
        [found] = ask(*call, *(["--exact"] if exact else []))
        scores = units @ units[at]
        scores[at] = -2
        best = np.argsort(-scores, kind="stable")[:5]
        assert [each["uci"] for each in found["chips"]] == [names[row] for row in best]
        np.testing.assert_allclose([each["score"] for each in found["chips"]], scores[best], atol=1e-6)


def test_what_changed_where_two_dates_are_at_hand(dataset: Path) -> None:
    """North Dakota, 2015 and 2020: chips of the same cells, whole at both dates."""
    token = "starter-v1.0-naip-rgb"
    chips = chips_of(dataset, token)
    units = dict(zip(texts(chips, "uci"), centred(chips, token), strict=True))
    cells = texts(chips, "cell")
    both = {cell for cell in cells if cells.count(cell) == 2}
    [found] = ask("change", str(dataset), "--model", token)
    assert (found["compared"], found["uncalibrated"]) == (len(both), len(both)) == (140, 140)
    assert found["not_compared"] == {"mostly-outside": 104}
    for each in found["most_changed"]:
        assert each["cell"] in both
        expected = 1 - units[each["from_uci"]] @ units[each["to_uci"]]
        assert each["distance"] == pytest.approx(expected, abs=1e-6)


def test_a_watch_would_have_called_for_what_is_as_like(dataset: Path) -> None:
    """The two other Sentinel-2 scenes are looked at as well; Aquileia's nobody's mask says anything of."""
    token = "starter-v1.0-s2-rgbns"
    chips = chips_of(dataset, token)
    names, units = texts(chips, "uci"), centred(chips, token)
    example = next(at for at, name in enumerate(names) if "_s2a-" in name)
    scores = units @ units[example]
    scores[example] = -2
    threshold = float(np.mean(np.sort(scores)[-8:-6]))  # seven are above
    ask("watch", "add", "like-it", str(dataset), "--like", names[example], "--threshold", str(threshold), "--quiet")
    [tested] = ask("watch", "test", "like-it", str(dataset))
    assert sum(tested["calls"].values()) == 7
    assert tested["scores"]["most"] == pytest.approx(scores.max(), abs=1e-5)


def test_every_scene_has_its_page(dataset: Path, tmp_path: Path) -> None:
    files = sorted(dataset.glob("starter-*/*/*.parquet"))
    assert len(files) == len(EMBEDDED)
    for number, file in enumerate(files):
        page = tmp_path / f"{number}.html"
        with redirect_stdout(StringIO()):
            assert main(["report", str(file), "--out", str(page), "--quiet"]) == 0
        assert 10_000 < page.stat().st_size < 15_000_000
