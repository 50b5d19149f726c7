"""What the command line uploads: a scene's files from wherever they are, under keys that say where, in which order."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import numpy as np
import pytest
import rasterio
from moto import mock_aws
from tests.pipeline.scenes import landsat

from clayline.run.names import Names
from clayline.scene.item import ALTERNATE, DECLARED_HREF, read_item
from clayline_cli.errors import CommandError
from clayline_cli.staging.stage import Staging, find_scenes, look_at, stage
from clayline_local.errors import LocalCloudError
from clayline_local.scene_keys import NAMES
from clayline_local.staged_scene import StagedScene

BANDS = ("B2.tif", "B3.tif", "B4.tif")


@pytest.fixture(scope="module")
def bodies(sample: Path) -> dict[str, bytes]:
    return {Path(key).name: body for key, body in landsat(sample, height=64, width=64).items()}


@pytest.fixture
def folder(tmp_path: Path, bodies: dict[str, bytes]) -> Path:
    (tmp_path / "scene").mkdir()
    for name, body in bodies.items():
        (tmp_path / "scene" / name).write_bytes(body)
    return tmp_path / "scene"


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="eu-central-1")
        for bucket in ("theirs", "archive"):
            client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield client


def key_of(path: Path) -> str:
    return f"file{path}"


def with_href(item: Path, asset: str, href: str) -> None:
    """Change one href."""
    content = json.loads(item.read_bytes())
    content["assets"][asset]["href"] = href
    item.write_text(json.dumps(content))


def uris(scene: StagedScene) -> dict[str, str]:
    """Where plan will look for each band of the landed Item, by its own reading of it."""
    landed = json.loads(scene.landing[1].read_bytes())
    item = read_item(landed, uri=f"s3://scenes/{scene.landing[0]}", allowed_buckets=frozenset({"scenes"}))
    return {band.name: band.uri.removeprefix("s3://scenes/") for band in item.bands}


def is_complete(scene: StagedScene, bodies: dict[str, bytes]) -> bool:
    """Tell whether plan will find every band, and the right one, where the landed Item says."""
    staged = {key: file.read_bytes() for key, file in scene.assets}
    return {band: staged.get(key) for band, key in uris(scene).items()} == {
        "blue": bodies["B2.tif"],
        "green": bodies["B3.tif"],
        "red": bodies["B4.tif"],
    }


def test_an_item_brings_the_files_beside_it_and_lands_last_as_it_is(folder: Path, bodies: dict[str, bytes]) -> None:
    with stage(str(folder / "item.json")) as scene:
        assert sorted(key for key, _ in scene.assets) == [key_of(folder / name) for name in BANDS]
        assert scene.landing == (key_of(folder / "item.json"), folder / "item.json")
        assert is_complete(scene, bodies)
        assert (scene.name, dict(scene.names)) == (f"file://{folder}/item.json", {"file/": "file:///"})
        assert scene.files[f"file://{folder}/B4.tif"] == folder / "B4.tif"


def test_what_is_missing_is_left_to_plan_to_name(folder: Path) -> None:
    (folder / "B4.tif").unlink()
    with stage(str(folder / "item.json")) as scene:
        assert sorted(key for key, _ in scene.assets) == [key_of(folder / name) for name in BANDS[:2]]
        assert uris(scene)["red"] == key_of(folder / "B4.tif")


def test_only_bands_are_uploaded(folder: Path) -> None:
    content = json.loads((folder / "item.json").read_bytes())
    content["assets"]["mtl"] = {"href": "MTL.txt", "type": "text/plain"}
    (folder / "MTL.txt").write_text("metadata")
    (folder / "item.json").write_text(json.dumps(content))
    with stage(str(folder / "item.json")) as scene:
        assert len(scene.assets) == len(BANDS)


@pytest.mark.parametrize(
    "href",
    [
        "../elsewhere/B4.tif",
        "./../scene/../elsewhere/B4.tif",
        "{absolute}/elsewhere/B4.tif",
        "file://{absolute}/elsewhere/B4.tif",
        "file://localhost{absolute}/elsewhere/B4.tif",
    ],
)
def test_hrefs_are_followed_on_this_machine(folder: Path, bodies: dict[str, bytes], href: str) -> None:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (folder / "B4.tif").rename(elsewhere / "B4.tif")
    with_href(folder / "item.json", "red", href.format(absolute=folder.parent))
    with stage(str(folder / "item.json")) as scene:
        assert uris(scene)["red"] == key_of(elsewhere / "B4.tif")
        assert is_complete(scene, bodies)
        assert DECLARED_HREF not in json.loads(scene.landing[1].read_bytes())["assets"]["red"]


@pytest.mark.parametrize(
    "href",
    [
        "https://landsatlook.usgs.gov/data/collection02/B4.tif",
        "https://planetary.blob.core.windows.net/c/B4.tif?st=2024&sig=a%2Fb",
        "s3://usgs-landsat/collection02/B4.tif",
        "/vsis3/usgs-landsat/B4.tif",
        "/nowhere/on/this/machine/B4.tif",
        "../not/there/B4.tif",
        "file:///nowhere/B4.tif",
        "https://[/B4.tif",
    ],
)
@pytest.mark.parametrize("place", ["beside", "named"])
def test_files_are_matched_by_name_beside_the_item_and_in_a_named_folder(
    folder: Path, bodies: dict[str, bytes], href: str, place: str
) -> None:
    staging = Staging()
    if place == "named":
        staging = Staging(assets=folder.parent / "downloads")
        (folder.parent / "downloads").mkdir()
        (folder / "B4.tif").rename(folder.parent / "downloads" / "B4.tif")
    with_href(folder / "item.json", "red", href)
    with stage(str(folder / "item.json"), staging=staging) as scene:
        assert is_complete(scene, bodies)
        assets = json.loads(scene.landing[1].read_bytes())["assets"]
        assert assets["red"][DECLARED_HREF] == href.replace("st=2024&sig=a%2Fb", "...")  # a signature is nobody's
        assert DECLARED_HREF not in assets["green"]


@pytest.mark.parametrize(
    "href", ["https://example.com/x/B4.TIF", "https://example.com/x/B4.tif/", "s3://private/B5.tif"]
)
def test_an_href_that_is_nowhere_stays_as_it_is(folder: Path, href: str) -> None:
    (folder / "B4.tif").unlink()
    with_href(folder / "item.json", "red", href)
    with stage(str(folder / "item.json")) as scene:
        assert len(scene.assets) == len(BANDS) - 1
        assert json.loads(scene.landing[1].read_bytes())["assets"]["red"]["href"] == href


def test_a_named_folder_goes_before_the_files_beside(folder: Path, bodies: dict[str, bytes]) -> None:
    downloads = folder.parent / "downloads"
    downloads.mkdir()
    (folder / "B4.tif").rename(downloads / "B4.tif")
    (folder / "B4.tif").write_bytes(b"stale")
    with_href(folder / "item.json", "red", "https://example.com/B4.tif")
    with stage(str(folder / "item.json"), staging=Staging(assets=downloads)) as scene:
        assert is_complete(scene, bodies)


def test_two_files_that_a_name_fits_are_told(folder: Path) -> None:
    (folder / "B%34.tif").write_bytes(b"another")
    with_href(folder / "item.json", "red", "https://example.com/B%34.tif")
    with pytest.raises(CommandError, match=r"B%34\.tif or .*B4\.tif"), stage(str(folder / "item.json")):
        pass


def test_one_file_for_two_hrefs_is_told(folder: Path) -> None:
    """Sentinel-2's R10m/B04 and R20m/B04 have one name: downloaded into one folder, one of them is the wrong one."""
    with_href(folder / "item.json", "red", "https://example.com/R10m/B3.tif")
    with_href(folder / "item.json", "green", "https://example.com/R20m/B3.tif")
    with pytest.raises(CommandError, match=r"'green', 'red' have different hrefs"), stage(str(folder / "item.json")):
        pass


@pytest.mark.parametrize("name", ["B 4.tif", "B#4.tif", "B%204.tif", "B?4.tif", "Bändé+4.tif", "B:4.tif"])
def test_names_that_a_uri_would_encode_work(folder: Path, bodies: dict[str, bytes], name: str) -> None:
    odd = folder.parent / "ein Ordner #1 100% ü"
    folder.rename(odd)
    (odd / "B4.tif").rename(odd / name)
    with_href(odd / "item.json", "red", f"./{name}")
    with stage(str(odd / "item.json")) as scene:
        assert is_complete(scene, bodies)
        names = Names(prefixes=tuple((f"s3://scenes/{prefix}", said) for prefix, said in NAMES.items()))
        uri = names.of(f"s3://scenes/{uris(scene)['red']}")
        assert Path.from_uri(uri) == odd / name
        assert scene.files[uri] == odd / name


def test_an_encoded_href_means_the_decoded_name(folder: Path, bodies: dict[str, bytes]) -> None:
    (folder / "B4.tif").rename(folder / "B 4.tif")
    with_href(folder / "item.json", "red", "./B%204.tif")
    with stage(str(folder / "item.json")) as scene:
        assert is_complete(scene, bodies)


def test_links_work(folder: Path, bodies: dict[str, bytes]) -> None:
    """Of an asset, of a folder, and of an Item whose files lie beside what it links to."""
    (folder / "B4.tif").rename(folder.parent / "elsewhere.tif")
    (folder / "B4.tif").symlink_to(folder.parent / "elsewhere.tif")
    (folder.parent / "linked").symlink_to(folder)
    (folder.parent / "item.json").symlink_to(folder / "item.json")
    for item in (folder / "item.json", folder.parent / "linked" / "item.json", folder.parent / "item.json"):
        with stage(str(item)) as scene:
            assert is_complete(scene, bodies)
            assert scene.landing[0] == key_of(item)


def test_a_path_with_dots_behind_a_link_is_where_it_really_leads(
    folder: Path, tmp_path: Path, bodies: dict[str, bytes]
) -> None:
    far = tmp_path / "far" / "deep"
    far.mkdir(parents=True)
    (tmp_path / "link").symlink_to(far)
    folder.rename(tmp_path / "far" / "scene")
    with stage(str(tmp_path / "link" / ".." / "scene" / "item.json")) as scene:
        assert scene.landing[0] == key_of(tmp_path / "far" / "scene" / "item.json")
        assert is_complete(scene, bodies)


def test_the_same_files_are_the_same_landing_wherever_temporary_files_are(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_href(folder / "item.json", "red", "https://example.com/B4.tif")
    landed = []
    for number in range(2):
        (tmp_path / f"tmp{number}").mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / f"tmp{number}"))
        with stage(str(folder / "item.json")) as scene:
            landed.append((scene.landing[0], scene.landing[1].read_bytes()))
        assert not list((tmp_path / f"tmp{number}").iterdir())
    assert landed[0] == landed[1]


def test_a_relative_path_is_known_by_where_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for target in ("item.json", "../scene/item.json", f"file://{folder}/item.json"):
        with stage(target) as scene:
            assert scene.landing[0] == key_of(folder / "item.json")


def test_a_cog_lands_under_the_cog_prefix_with_its_metadata(folder: Path) -> None:
    with stage(str(folder / "B4.tif"), metadata={"sensor": "landsat-c2l1"}) as scene:
        assert scene.landing == (f"cog/file{folder}/B4.tif", folder / "B4.tif")
        assert scene.metadata == {"sensor": "landsat-c2l1"}
        assert scene.name == f"file://{folder}/B4.tif"


def test_metadata_of_an_item_is_refused_and_not_dropped(folder: Path) -> None:
    with (
        pytest.raises(CommandError, match=r"Leave --sensor out"),
        stage(str(folder / "item.json"), metadata={"sensor": "x"}),
    ):
        pass


def test_an_item_in_s3_is_fetched_with_its_bands_alone(folder: Path, bodies: dict[str, bytes], s3: Any) -> None:
    item = json.loads((folder / "item.json").read_bytes())
    item["assets"]["red"]["href"] = "s3://theirs/else where/B4#ü.tif"
    item["assets"]["green"]["href"] = "https://archive.s3.eu-central-1.amazonaws.com/B3%20.tif"
    item["assets"]["thumbnail"] = {"href": "thumbnail.png", "type": "image/png", "roles": ["thumbnail"]}
    s3.put_object(Bucket="theirs", Key="in/item.json", Body=json.dumps(item).encode())
    for bucket, key, name in (
        ("theirs", "in/B2.tif", "B2.tif"),
        ("archive", "B3 .tif", "B3.tif"),
        ("theirs", "else where/B4#ü.tif", "B4.tif"),
    ):
        s3.put_object(Bucket=bucket, Key=key, Body=bodies[name])
    with stage("s3://theirs/in/item.json", staging=Staging(allowed_buckets=frozenset({"archive"})), remote=s3) as scene:
        assert is_complete(scene, bodies)
        assert uris(scene) == {
            "blue": "s3/theirs/in/B2.tif",
            "green": "s3/archive/B3 .tif",
            "red": "s3/theirs/else where/B4#ü.tif",
        }
        assert scene.name == "s3://theirs/in/item.json"
        assert scene.files["s3://archive/B3 .tif"].read_bytes() == bodies["B3.tif"]
        kept = scene.landing[1].parent
    assert not kept.exists()


def test_a_cog_in_s3_is_fetched(s3: Any, bodies: dict[str, bytes]) -> None:
    s3.put_object(Bucket="theirs", Key="LC08_x.tif", Body=bodies["B4.tif"])
    with stage("s3://theirs/LC08_x.tif", remote=s3) as scene:
        assert scene.landing[0] == "cog/s3/theirs/LC08_x.tif"
        assert scene.landing[1].read_bytes() == bodies["B4.tif"]


def test_an_item_here_may_have_its_files_in_an_allowed_bucket(folder: Path, bodies: dict[str, bytes], s3: Any) -> None:
    (folder / "B4.tif").unlink()
    with_href(folder / "item.json", "red", "s3://theirs/B4.tif")
    s3.put_object(Bucket="theirs", Key="B4.tif", Body=bodies["B4.tif"])
    with stage(str(folder / "item.json"), staging=Staging(allowed_buckets=frozenset({"theirs"})), remote=s3) as scene:
        assert is_complete(scene, bodies)
        assert uris(scene)["red"] == "s3/theirs/B4.tif"
    with stage(str(folder / "item.json"), remote=s3) as scene:
        assert len(scene.assets) == len(BANDS) - 1


def with_alternates(item: Path, asset: str, **hrefs: str) -> None:
    content = json.loads(item.read_bytes())
    content["assets"][asset]["href"] = "https://landsatlook.usgs.gov/data/red.TIF"
    content["assets"][asset]["alternate"] = {name: {"href": href} for name, href in hrefs.items()}
    item.write_text(json.dumps(content))


def test_an_alternate_in_an_allowed_bucket_is_fetched(folder: Path, bodies: dict[str, bytes], s3: Any) -> None:
    (folder / "B4.tif").unlink()
    with_alternates(folder / "item.json", "red", s3="https://s3.us-west-2.amazonaws.com/theirs/B4.tif")
    s3.put_object(Bucket="theirs", Key="B4.tif", Body=bodies["B4.tif"])
    with stage(str(folder / "item.json"), staging=Staging(allowed_buckets=frozenset({"theirs"})), remote=s3) as scene:
        assert is_complete(scene, bodies)
        red = json.loads(scene.landing[1].read_bytes())["assets"]["red"]
        assert (red[ALTERNATE], red[DECLARED_HREF]) == ("s3", "https://landsatlook.usgs.gov/data/red.TIF")


def test_two_alternates_are_told(folder: Path) -> None:
    (folder / "B4.tif").unlink()
    with_alternates(folder / "item.json", "red", one="s3://theirs/1.tif", two="s3://theirs/2.tif")
    staging = Staging(allowed_buckets=frozenset({"theirs"}))
    with pytest.raises(CommandError, match=r"'one' .* and 'two'"), stage(str(folder / "item.json"), staging=staging):
        pass


def test_an_item_in_s3_never_reaches_a_file_of_this_machine(folder: Path, s3: Any) -> None:
    for href in (f"{folder}/B4.tif", f"file://{folder}/B4.tif", "../../../../../../etc/hostname"):
        with_href(folder / "item.json", "red", href)
        s3.put_object(Bucket="theirs", Key="in/item.json", Body=(folder / "item.json").read_bytes())
        with stage("s3://theirs/in/item.json", remote=s3) as scene:
            assert not scene.assets


def test_a_band_that_s3_lacks_is_left_to_plan_to_name(folder: Path, s3: Any) -> None:
    s3.upload_file(str(folder / "item.json"), "theirs", "in/item.json")
    with stage("s3://theirs/in/item.json", remote=s3) as scene:
        assert not scene.assets
        assert set(uris(scene).values()) == {f"s3/theirs/in/{name}" for name in BANDS}


class Recording:
    """A client that notes what it is asked for."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.asked: list[dict[str, Any]] = []

    def download_file(self, bucket: str, key: str, target: str, ExtraArgs: dict[str, Any]) -> None:  # noqa: N803 - boto3's
        self.asked.append(ExtraArgs)
        self.client.download_file(bucket, key, target)


def test_who_asks_to_pay_pays_for_each_object(folder: Path, s3: Any) -> None:
    for name in (*BANDS, "item.json"):
        s3.upload_file(str(folder / name), "theirs", name)
    for asked, expected in ((True, {"RequestPayer": "requester"}), (False, {})):
        client: Any = Recording(s3)
        with stage("s3://theirs/item.json", staging=Staging(request_payer=asked), remote=client):
            assert client.asked == [expected] * 4


class Counting:
    """Counts the bytes that are asked of S3."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.asked: dict[str, str] = {}

    def download_file(self, bucket: str, key: str, target: str, ExtraArgs: dict[str, Any]) -> None:  # noqa: N803 - boto3's
        self.asked[key] = "all"
        self.client.download_file(bucket, key, target, ExtraArgs=ExtraArgs)

    def get_object(self, *, Bucket: str, Key: str, Range: str) -> Any:  # noqa: N803 - boto3's
        self.asked[Key] = Range
        return self.client.get_object(Bucket=Bucket, Key=Key, Range=Range)


def test_a_look_at_what_is_in_s3_fetches_no_imagery(folder: Path, s3: Any) -> None:
    for name in (*BANDS, "item.json"):
        s3.upload_file(str(folder / name), "theirs", name)
    client: Any = Counting(s3)
    look_at("s3://theirs/item.json", remote=client)
    assert client.asked == {"item.json": "all", **dict.fromkeys(BANDS, "bytes=0-63")}
    client.asked.clear()
    look_at("s3://theirs/B2.tif", remote=client)
    assert client.asked == {"B2.tif": "bytes=0-63"}


def test_a_look_says_what_staging_would_say(s3: Any) -> None:
    s3.put_object(Bucket="theirs", Key="empty.tif", Body=b"")
    s3.put_object(Bucket="theirs", Key="page.tif", Body=b"<html>" + b" " * 100)
    for uri, said in (
        ("s3://theirs/empty.tif", "is empty"),
        ("s3://theirs/page.tif", "no TIFF but HTML"),
        ("s3://theirs/none.tif", "no such object. Check the key"),
        ("s3://nobodys/x.tif", "no such bucket. Check the bucket's name"),
    ):
        for way in (look_at, lambda uri, remote: stage(uri, remote=remote).__enter__()):
            with pytest.raises(CommandError, match=said):
                way(uri, remote=s3)


class Failing:
    """A client whose every call ends so."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def download_file(self, *_: Any, **__: Any) -> None:
        raise self.error

    def get_object(self, *_: Any, **__: Any) -> None:
        raise self.error


def refusal(code: str) -> Exception:
    return botocore.exceptions.ClientError({"Error": {"Code": code}}, "GetObject")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            botocore.exceptions.NoCredentialsError(),
            "there are no AWS credentials. Give AWS credentials: `aws configure`",
        ),
        (refusal("AccessDenied"), r"access is denied\. .*--request-payer"),
        (refusal("ExpiredToken"), "have expired. Sign in again"),
        (refusal("PermanentRedirect"), "in another region. Set AWS_REGION"),
        (refusal("InternalError"), r"S3 refuses it \(InternalError\)"),
        (
            botocore.exceptions.EndpointConnectionError(endpoint_url="https://x"),
            "cannot be reached .* Check the network",
        ),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="https://x"), "cannot be reached .* Check the network"),
        (botocore.exceptions.ProfileNotFound(profile="me"), r"profile \(me\) could not be found. Give AWS credentials"),
        (OSError(28, "No space left on device"), "No space left on device.* TMPDIR"),
    ],
)
def test_what_s3_refuses_is_one_sentence_with_a_remedy(error: Exception, said: str) -> None:
    client: Any = Failing(error)
    with (
        pytest.raises(CommandError, match=rf"s3://theirs/item\.json.*{said}") as told,
        stage("s3://theirs/item.json", remote=client),
    ):
        pass
    assert "\n" not in str(told.value)


def test_what_is_not_in_s3_is_told_as_s3_tells_it(s3: Any) -> None:
    for uri, said in (
        ("s3://theirs/x.tif", "no such object. Check the key"),
        ("s3://nobodys/x.tif", "no such bucket. Check the bucket's name"),
    ):
        with pytest.raises(CommandError, match=said), stage(uri, remote=s3):
            pass


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("nothing.json", None, "is no file, or there is none"),
        ("README.md", b"# x", "neither a STAC Item"),
        ("empty.json", b"", "is empty"),
        ("empty.tif", b"", "is empty"),
        ("cut.json", b'{"type": "Feature"', "is not valid JSON"),
        ("deep.json", b"[" * 200_000, "is not valid JSON"),
        (
            "many.json",
            b'{"type": "FeatureCollection", "features": [{}, {}]}',
            "a FeatureCollection of 2. Write each Item",
        ),
        ("collection.json", b'{"type": "Collection", "stac_version": "1.0.0"}', "a STAC Collection, .* Give an Item"),
        ("feature.geojson", b'{"type": "Feature", "assets": {}}', "a Feature without `stac_version`"),
        ("bare.json", b'{"type": "Feature", "stac_version": "1.0.0"}', "a Feature without `assets`"),
        ("x_MTL.json", b'{"LANDSAT_METADATA_FILE": {}}', "Landsat's own metadata"),
        ("list.json", b"[1]", "a JSON list"),
        ("other.json", b"{}", "other JSON"),
        ("page.tif", b"<html>", "HTML or XML"),
        ("zip.tif", b"PK\x03\x04abc", "a ZIP archive. Unpack it"),
        ("jp2.tif", b"\0\0\0\x0cjP  \r\n", "a JPEG 2000 image. Convert it"),
        ("odd.tif", b"????????", "something else"),
        ("large.json", b" " * 5_000_001, "a STAC Item has at most"),
    ],
)
def test_what_is_no_scene_is_told_at_first_sight(tmp_path: Path, name: str, body: bytes | None, said: str) -> None:
    path = tmp_path / name
    if body is not None:
        path.write_bytes(body)
    for act in (lambda: find_scenes([str(path)]), lambda: stage(str(path)).__enter__()):
        with pytest.raises(CommandError, match=said) as told:
            act()
        assert "\n" not in str(told.value)
        assert str(path) in str(told.value)


@pytest.mark.parametrize("body", [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"])
def test_every_kind_of_tiff_is_let_through(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "x.TIFF").write_bytes(body + b"\0" * 8)
    assert find_scenes([str(tmp_path / "x.TIFF")]) == [str(tmp_path / "x.TIFF")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_read_is_told(folder: Path) -> None:
    (folder / "B4.tif").chmod(0)
    for target in ("B4.tif", "item.json"):
        with pytest.raises(CommandError, match=r"B4\.tif cannot be read"), stage(str(folder / target)):
            pass


@pytest.mark.parametrize("target", ["s3://bucket", "https://example.com/item.json", "s3://bucket/folder/"])
def test_what_cannot_be_fetched_is_told(target: str) -> None:
    with pytest.raises(CommandError, match=r"no s3://BUCKET/KEY|neither a STAC Item"):
        find_scenes([target])


def test_a_path_that_s3_has_no_key_for_is_told(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d" * 200] * 6)
    deep.mkdir(parents=True)
    (deep / "x.tif").write_bytes(b"II*\0....")
    with pytest.raises(LocalCloudError, match="Move it to a shorter path"), stage(str(deep / "x.tif")):
        pass
    odd = tmp_path / os.fsdecode(b"\xff.tif")
    odd.write_bytes(b"II*\0....")
    with pytest.raises(LocalCloudError, match="not valid UTF-8"), stage(str(odd)):
        pass


def _several_bands(count: int, *, bigtiff: bool = False, order: str = "LITTLE") -> bytes:
    profile = {
        "driver": "GTiff",
        "width": 16,
        "height": 16,
        "count": count,
        "dtype": "uint16",
        "transform": rasterio.Affine(30, 0, 0, 0, -30, 0),
    }
    with rasterio.MemoryFile() as memory:
        with memory.open(**profile, BIGTIFF="YES" if bigtiff else "NO", ENDIANNESS=order) as dataset:
            dataset.write(np.ones((count, 16, 16), np.uint16))
        return bytes(memory.getbuffer())


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("order", ["LITTLE", "BIG"])
def test_what_a_download_brings_beside_its_item_is_no_scene(folder: Path, order: str, *, bigtiff: bool) -> None:
    """A preview (three bands, a name that tells of no sensor) and a band of another product (its name tells, one
    band).
    """
    for name, bands in (("L2A_PVI.tif", 3), ("LC08_L2SP_224078_20200518_ST_B10.TIF", 1)):
        (folder / name).write_bytes(_several_bands(bands, bigtiff=bigtiff, order=order))
    told: list[str] = []
    assert find_scenes([str(folder)], notice=told.append) == [str(folder / "item.json")]
    assert len(told) == 1
    assert "left out L2A_PVI.tif, LC08_L2SP_224078_20200518_ST_B10.TIF" in told[0]
    assert find_scenes([str(folder)], sensor_said=True) == [str(folder / "L2A_PVI.tif"), str(folder / "item.json")]
    preview = str(folder / "L2A_PVI.tif")
    assert find_scenes([preview]) == [preview]  # who names a file means it


@pytest.mark.parametrize(
    "body", [b"II*\0", b"II*\0\xff\xff\xff\xff", b"II+\0" + b"\xff" * 12, b"MM\0*\0\0\0\x08\xff\xff"]
)
def test_a_damaged_geotiff_is_for_plan_to_refuse(folder: Path, body: bytes) -> None:
    (folder / "LC08_L2SP_x.tif").write_bytes(body)
    assert find_scenes([str(folder)]) == [str(folder / "LC08_L2SP_x.tif"), str(folder / "item.json")]


def test_a_folder_gives_its_items_and_the_tiffs_of_none(folder: Path) -> None:
    (folder / "LC08_L1TP_alone.tif").write_bytes(_several_bands(3))
    (folder / "._B4.tif").write_bytes(b"of a Mac")
    (folder / "x_MTL.json").write_text('{"LANDSAT_METADATA_FILE": {}}')
    (folder / "broken.json").write_text("{")
    with_href(folder / "item.json", "red", "https://example.com/B4.tif?sig=1")
    other = json.loads((folder / "item.json").read_bytes())
    (folder / "second.geojson").write_text(json.dumps(other))
    expected = [str(folder / name) for name in ("LC08_L1TP_alone.tif", "item.json", "second.geojson")]
    assert find_scenes([str(folder)]) == expected
    again = [str(folder), str(folder / "item.json"), f"{folder}/../scene/item.json", "s3://b/k.json", "s3://b/k.json"]
    assert find_scenes(again) == [*expected, "s3://b/k.json"]


def test_a_folder_without_a_scene_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"holds no STAC Item and no GeoTIFF\. Give"):
        find_scenes([str(tmp_path)])
    (tmp_path / "LC08").mkdir()
    with pytest.raises(CommandError, match=r"not searched: give them \(LC08\)"):
        find_scenes([str(tmp_path)])
    with pytest.raises(CommandError, match="is a folder"), stage(str(tmp_path)):
        pass


def test_looking_needs_nothing_that_is_slow_to_load() -> None:
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    code = (
        "import sys, clayline_cli.staging.stage, clayline_cli.kept.folder\n"
        "print([name for name in ('boto3', 'botocore', 'numpy', 'pydantic', 'rasterio') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
