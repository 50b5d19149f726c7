"""The report's page: what stands in it, how large it is, what it refuses; and that it runs nothing of the file's."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.cli.report_scene import DIMENSIONS, HEIGHT, WIDTH, ReportScene, write_scene

import clayline_cli.reporting.vectors
from clayline.likeness.centring import Centre
from clayline.likeness.taking_part import Traits
from clayline.model.statistics import FolderStatistics, VectorStatistics
from clayline_cli.program import main
from clayline_cli.reporting.outliers import loss_outliers
from clayline_cli.reporting.page import WEB, safe_json
from clayline_cli.reporting.scene_chips import SceneChips
from clayline_cli.reporting.vectors import page_vectors


def page_of(scene: ReportScene, *options: str) -> str:
    page = scene.path.with_suffix(".html")
    assert main(["report", str(scene.path), *options]) == 0
    return page.read_text(encoding="utf-8")


def content_of(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(page.partition('id="content">')[2].partition("</script>")[0])
    return found


def vectors_of(page: str) -> bytes:
    return base64.b64decode(page.partition('id="vectors">')[2].partition("</script>")[0])


def unit(scene: ReportScene) -> NDArray[np.float64]:
    away = scene.vectors.astype(np.float64) - scene.vectors[scene.whole].astype(np.float64).mean(axis=0)
    return np.asarray(away / np.linalg.norm(away, axis=1, keepdims=True))


def test_the_page_has_every_chip_with_its_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = write_scene(tmp_path)
    found = content_of(page_of(scene))
    assert capsys.readouterr().out == f"{tmp_path / 'scene.html'}\n"
    texts, chips = found["chips"]["uci"], found["chips"]
    assert tuple(f"{texts['before']}{each}{texts['after']}" for each in texts["each"]) == scene.uci
    windows = [scene.grid.window(number) for number in scene.index.tolist()]
    assert [chips["row"], chips["col"]] == [[w.row for w in windows], [w.col for w in windows]]
    for name, stored in (("valid", scene.valid), ("loss", scene.loss)):
        np.testing.assert_allclose(chips[name], stored, rtol=1e-3)
    cloud = pq.read_table(scene.path, columns=["cloud_fraction"])["cloud_fraction"].to_numpy()
    assert chips["cloud"][0] is None
    np.testing.assert_allclose(chips["cloud"][1:], cloud[1:], rtol=1e-3)
    assert found["likeness"] | {"form": "int8", "centredBy": "rows", "refused": None} == found["likeness"]
    assert [found["outliers"]["rows"][0], found["outliers"]["judged"]] == [scene.loss.argmax(), scene.whole.sum()]


def test_the_picture_is_the_scenes(tmp_path: Path) -> None:
    page = page_of(write_scene(tmp_path))
    [body] = re.findall(r'src="data:image/webp;base64,([^"]+)"', page)
    (tmp_path / "found.webp").write_bytes(base64.b64decode(body))
    with Image.open(tmp_path / "found.webp") as picture:
        pixels = np.asarray(picture.convert("RGBA"))
    assert pixels.shape == (HEIGHT, WIDTH, 4)
    assert not pixels[:40, :, 3].any()  # nodata is transparent
    assert pixels[40:, :, 3].all()
    assert pixels[40:, :, :3].std() > 20


def test_vectors_are_bytes_that_keep_likeness(tmp_path: Path) -> None:
    scene = write_scene(tmp_path)
    stored = np.frombuffer(vectors_of(page_of(scene)), np.int8).reshape(-1, DIMENSIONS).astype(np.float64)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    exact = unit(scene)
    assert np.abs(stored @ stored.T - exact @ exact.T).max() < 0.01


def test_many_vectors_are_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = write_scene(tmp_path)
    monkeypatch.setattr(clayline_cli.reporting.vectors, "MOST_BYTES", len(scene.uci) * DIMENSIONS - 1)
    page = page_of(scene)
    assert content_of(page)["likeness"]["form"] == "bits"
    bits = np.unpackbits(np.frombuffer(vectors_of(page), np.uint8).reshape(len(scene.uci), -1), axis=1)
    np.testing.assert_array_equal(bits, unit(scene) > 0)


def test_the_models_card_centres_where_it_is_at_hand(tmp_path: Path) -> None:
    scene = write_scene(tmp_path, windows=40)
    chips = SceneChips.read(scene.path)
    refused = page_vectors(chips, [])
    assert isinstance(refused, str)
    assert "too few to centre" in refused
    statistics = VectorStatistics.measure([scene.vectors], digest=chips.digest, scenes=["s"])
    for folder, digest in (("this", chips.digest), ("other", f"sha256:{'1' * 64}")):
        said = FolderStatistics(entries={"a-v1-model": statistics.model_copy(update={"digest": digest})})
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "statistics.json").write_text(said.model_dump_json(by_alias=True))
    assert isinstance(page_vectors(chips, [tmp_path / "other"]), str)
    found = page_vectors(chips, [tmp_path / "other", tmp_path / "this"])
    assert not isinstance(found, str)
    assert found.centred_by == "card"
    exact = Centre.of_card(statistics).unit(scene.vectors)
    stored = np.frombuffer(found.body, np.int8).reshape(exact.shape).astype(float)
    assert ((stored * exact).sum(axis=1) / np.linalg.norm(stored, axis=1)).min() > 0.999


@pytest.mark.parametrize(("pixels", "told"), [(False, "are not on this machine"), (True, None)])
def test_without_the_scenes_files_the_page_says_so_and_a_folder_brings_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], told: str | None, *, pixels: bool
) -> None:
    scene = write_scene(tmp_path, pixels=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "scene.tif").rename(tmp_path / "elsewhere" / "scene.tif")
    found = content_of(page_of(scene, *(["--assets", str(tmp_path / "elsewhere")] if pixels else [])))
    assert bool(found["picture"]["width"]) == pixels
    assert (told is None) == (found["picture"]["missing"] is None)
    assert (told or "") in capsys.readouterr().err


def test_a_file_that_changed_since_is_said_on_the_page_and_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = write_scene(tmp_path)
    assert content_of(page_of(scene))["picture"]["changed"] is None
    assert "changed since" not in capsys.readouterr().err
    with (tmp_path / "scene.tif").open("ab") as file:
        file.write(b"later")
    scene.path.with_suffix(".html").unlink()
    said = content_of(page_of(scene))["picture"]
    assert "scene.tif changed since" in said["changed"]
    assert said["width"] == WIDTH
    assert said["changed"] in capsys.readouterr().err.replace("\n", " ")


def test_only_whole_chips_set_colours_where_there_are_enough(tmp_path: Path) -> None:
    """What padding does to a vector moves no colour of the others."""
    scene = write_scene(tmp_path)
    first = content_of(page_of(scene))["components"]
    table = pq.read_table(scene.path)
    vectors = np.where(scene.whole[:, None], scene.vectors, 100 * scene.vectors[::-1])
    at = table.schema.get_field_index("embeddings")
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSIONS)
    pq.write_table(table.set_column(at, "embeddings", column), scene.path)
    scene.path.with_suffix(".html").unlink()
    second = content_of(page_of(scene))["components"]
    assert first["ofWhole"]
    assert second["ofWhole"]
    colours = [
        np.frombuffer(base64.b64decode(each["colours"]), np.uint8).reshape(-1, 3)[scene.whole]
        for each in (first, second)
    ]
    np.testing.assert_array_equal(colours[0], colours[1])
    (tmp_path / "few").mkdir()
    few = write_scene(tmp_path / "few", windows=4)
    assert not content_of(page_of(few))["components"]["ofWhole"]


def test_5000_chips_of_1024_dimensions_are_less_than_15_mb(tmp_path: Path) -> None:
    """By the parts that grow: vectors in base64, and each chip's numbers as they stand in a small page."""
    scene = write_scene(tmp_path)
    page = page_of(scene)
    numbers = len(page.partition('id="content">')[2].partition("</script>")[0]) / len(scene.uci)
    programs = sum(path.stat().st_size for path in WEB.rglob("*") if path.is_file())
    picture = 1080 * 1080  # a byte a pixel: WebP at this quality takes less of noise
    assert clayline_cli.reporting.vectors.MOST_BYTES >= 5000 * 1024
    assert 5000 * (1024 * 4 / 3 + numbers) + programs + picture * 4 / 3 < 15e6


def test_what_is_there_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = write_scene(tmp_path, windows=9)
    (tmp_path / "scene.html").write_text("mine")
    assert main(["report", str(scene.path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "scene.html").read_text() == "mine"
    assert main(["report", str(scene.path), "--out", str(tmp_path / "other.html")]) == 0
    with pytest.raises(SystemExit):
        main(["report", str(scene.path), "--out", str(scene.path)])


def _without_header(scene: ReportScene) -> None:
    pq.write_table(pq.read_table(scene.path).replace_schema_metadata({}), scene.path)


def _beyond_the_grid(scene: ReportScene) -> None:
    table = pq.read_table(scene.path)
    at = table.schema.get_field_index("index")
    pq.write_table(table.set_column(at, "index", [(scene.index + 10_000).tolist()]), scene.path)


def _torn(scene: ReportScene) -> None:
    scene.path.write_bytes(scene.path.read_bytes()[:-100])


def _flipped(scene: ReportScene) -> None:
    """A page's bytes are others: Arrow tells that as an OSError."""
    body = bytearray(scene.path.read_bytes())
    body[4 : len(body) // 2] = bytes(len(body) // 2 - 4)
    scene.path.write_bytes(body)


def _empty(scene: ReportScene) -> None:
    pq.write_table(pq.read_table(scene.path).slice(0, 0), scene.path)


def _header_broken(scene: ReportScene) -> None:
    """A page's header is none: Thrift tells that over several lines."""
    body = bytearray(scene.path.read_bytes())
    end = len(body) - 8 - int.from_bytes(body[-8:-4], "little")
    for at in range(4, end, 64):
        body[at : at + 20] = b"\x0f" * 20
    scene.path.write_bytes(body)


def _of_another_format(form: str) -> Callable[[ReportScene], None]:
    def spoil(scene: ReportScene) -> None:
        said = {"clayline": json.dumps({"format": form, "rows": 9})}
        pq.write_table(pq.read_table(scene.path).replace_schema_metadata(said), scene.path)

    return spoil


def _without_grid(scene: ReportScene) -> None:
    table = pq.read_table(scene.path)
    said = json.loads(table.schema.metadata[b"clayline"])
    del said["grid"]
    pq.write_table(table.replace_schema_metadata({"clayline": json.dumps(said)}), scene.path)


def _gone(scene: ReportScene) -> None:
    scene.path.unlink()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_without_header, "is no scene's file"),
        (_beyond_the_grid, "none of the grid's"),
        (_torn, "cannot be read as a scene's file"),
        (_flipped, "cannot be read as a scene's file"),
        (_header_broken, "deserialize thrift"),
        (_without_grid, "it lacks `grid`"),
        (_of_another_format("clayline-read/1"), "it was read out of a dataset (`clayline read`, `sample` or `search`)"),
        (_of_another_format("clayline-change/1"), "it is a table of changes"),
        (_of_another_format("clayline-dataset-file/1"), "it is a dataset's own file, of many scenes"),
        (_of_another_format("clayline-tier/1"), "it is a dataset's own file"),
        (_of_another_format("clayline-index/1"), "it is a dataset's own file"),
        (_empty, "has no chips"),
        (_gone, "there is no"),
    ],
)
def test_what_is_no_scenes_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Any, told: str
) -> None:
    scene = write_scene(tmp_path, windows=9)
    spoil(scene)
    assert main(["report", str(scene.path)]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert len(said.splitlines()) == 1
    assert not scene.path.with_suffix(".html").exists()


def test_a_page_in_a_folder_that_is_not_there_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = write_scene(tmp_path, windows=9)
    _torn(scene)  # which would be told first
    assert main(["report", str(scene.path), "--out", str(tmp_path / "none" / "page.html")]) == 2
    assert f"there is no folder {tmp_path / 'none'}. Make it first." in capsys.readouterr().err


def test_a_number_that_is_not_finite_is_not_known(tmp_path: Path) -> None:
    scene = write_scene(tmp_path, windows=9)
    table = pq.read_table(scene.path)
    for name in ("loss", "valid_fraction", "cloud_fraction"):
        values = [float("inf"), float("-inf"), float("nan"), *table[name].to_pylist()[3:]]
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, pa.array(values, pa.float32()))
    pq.write_table(table, scene.path)
    found = content_of(page_of(scene))["chips"]
    for name in ("loss", "valid", "cloud"):
        assert found[name][:3] == [None] * 3
        assert all(value is not None for value in found[name][3:])


def test_a_folder_is_no_scenes_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    assert main(["report", str(tmp_path / "out")]) == 2
    assert "out is a folder. Give a scene's Parquet file in it" in capsys.readouterr().err


def test_outliers_are_far_from_the_median_on_either_side_and_whole() -> None:
    loss = np.concatenate([np.linspace(0.9, 1.1, 31), [9.0, -7.0, 99.0, np.nan]])
    valid = np.append(np.ones(33), [0.5, 1])
    found = loss_outliers(Traits(valid=valid, cloud=np.full(35, np.nan), loss=loss))
    assert (found.rows.tolist(), round(found.median, 6), found.judged) == ([31, 32], 1.0, 33)
    assert found.scores[0] > 3.5 > -3.5 > found.scores[1]
    assert not loss_outliers(Traits(valid=valid, cloud=valid, loss=np.ones(35))).rows.size
    assert loss_outliers(Traits(valid=valid, cloud=valid, loss=np.full(35, np.nan))).judged == 0
    assert loss_outliers(Traits(valid=valid[:20], cloud=valid[:20], loss=loss[:20])).judged == 0, "too few to judge by"


HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror=window.hacked=2>\u2028<!-- &amp; {{content}}"


def test_what_the_file_says_is_never_markup(tmp_path: Path) -> None:
    page = page_of(write_scene(tmp_path, name=HOSTILE, prefix=HOSTILE, metric=HOSTILE, windows=9))
    assert "<script>window.hacked" not in page
    assert "<img src=x" not in page
    assert page.count("<script") == page.count("</script>")
    found = content_of(page)
    assert found["chips"]["uci"]["before"].startswith(HOSTILE)
    assert found["scene"]["lossMetric"] == HOSTILE
    assert json.loads(safe_json(HOSTILE)) == HOSTILE


def test_the_policy_allows_the_pages_own_programs_alone(tmp_path: Path) -> None:
    page = page_of(write_scene(tmp_path, windows=9))
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in policy
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert rules[kind].split() == [_hash(block) for block in blocks]
    markup = re.sub(r"<(script|style)>.*?</\1>", "", page, flags=re.DOTALL)
    assert not re.findall(r'(?:src|href)="(?!data:|")', markup)
    assert "sourceMappingURL" not in page


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _kept() -> Sequence[tuple[str, str]]:
    text = (WEB / "vendor" / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([^`]+)` \| `([0-9a-f]{64})` \|$", text, re.MULTILINE)


def test_libraries_are_those_that_the_list_says() -> None:
    """Byte for byte those of the registry, with their licences."""
    vendor = WEB / "vendor"
    there = {path.relative_to(vendor).as_posix() for path in vendor.rglob("*") if path.is_file()} - {"README.md"}
    assert {name for name, _ in _kept()} == there
    for name, digest in _kept():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name
    assert {Path(name).parent.as_posix() for name in there if name.endswith("LICENSE")} == {
        Path(name).parent.as_posix() for name in there
    }
