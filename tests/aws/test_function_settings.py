"""Settings: read from the environment when asked, and every variable that is missing or wrong is named at once."""

import os
import re

import pytest

from clayline.aws.settings import CollectSettings, CommonSettings, PlanSettings, SettleSettings, TileSettings, load
from clayline.errors import SettingsError
from clayline.place import Place
from clayline.run.access import Access
from clayline.run.names import Names
from clayline.scene.radiometry import BoaOverride

GIVEN = {
    "CLAYLINE_LEDGER_TABLE": "ledger",
    "CLAYLINE_WORK_BUCKET": "work",
    "CLAYLINE_SCENES_BUCKET": "scenes",
    "CLAYLINE_EMBEDDINGS_BUCKET": "embeddings",
    "CLAYLINE_MODEL_MANIFEST": "s3://models/starter-v1.0/manifest.json",
    "CLAYLINE_TILE_QUEUE_URL": "https://sqs/tile",
    "CLAYLINE_ENDPOINT_NAME": "clayline",
    "CLAYLINE_RESULT_QUEUE_URL": "https://sqs/result",
    "CLAYLINE_SETTLED_QUEUE_URL": "https://sqs/settled",
    "CLAYLINE_INSTANCE_TYPE": "ml.g4dn.xlarge",
}
KINDS: list[type[CommonSettings]] = [PlanSettings, TileSettings, SettleSettings, CollectSettings]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("CLAYLINE_"):
            monkeypatch.delenv(name)
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("kind", KINDS)
def test_the_least_that_must_be_given(kind: type[CommonSettings]) -> None:
    found = load(kind)
    assert (found.ledger_table, found.work_bucket) == ("ledger", "work")


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_environment_is_told_every_variable(
    monkeypatch: pytest.MonkeyPatch, kind: type[CommonSettings]
) -> None:
    for name in GIVEN:
        monkeypatch.delenv(name)
    with pytest.raises(SettingsError) as caught:
        load(kind)
    required = {f"CLAYLINE_{name.upper()}" for name, field in kind.model_fields.items() if field.is_required()}
    assert required <= set(GIVEN), "a new required variable: add it above"
    assert set(re.findall("CLAYLINE_[A-Z_]+", str(caught.value))) == required
    assert "template.yaml" in str(caught.value)


def test_everything_wrong_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "CLAYLINE_MIN_VALID_FRACTION": "1.5",
        "CLAYLINE_MAX_CLOUD_FRACTION": "some",
        "CLAYLINE_LEASE_SECONDS": "0",
        "CLAYLINE_CHIPS_PER_BATCH": "64.5",
        "CLAYLINE_ANY_GSD": "perhaps",
        "CLAYLINE_ANY_PIXEL_SHAPE": "round",
        "CLAYLINE_RETRY_FAILED": "once",
        "CLAYLINE_BOA": "maybe",
        "CLAYLINE_VECTOR_ENCODING": "smallest",
        "CLAYLINE_SOURCE_CREATOR": "",
        "CLAYLINE_NAMES": "s3://scenes/",
        "CLAYLINE_PLACE": "home",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load(PlanSettings)
    assert set(re.findall("CLAYLINE_[A-Z_]+", str(caught.value))) == set(wrong)


def test_what_cloudformation_passes_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parameters come as texts."""
    values = {
        "ANY_GSD": "true",
        "ANY_PIXEL_SHAPE": "true",
        "TIFF_DATETIME": "false",
        "RETRY_FAILED": "false",
        "BOA": "not-applied",
        "VECTOR_ENCODING": "compact",
        "MIN_VALID_FRACTION": "0.25",
        "LEASE_SECONDS": "900",
    }
    assert load(PlanSettings).retry_failed, "what AWS does where nobody chose"
    for name, value in values.items():
        monkeypatch.setenv(f"CLAYLINE_{name}", value)
    found = load(PlanSettings)
    assert not found.retry_failed
    assert found.any_pixel_shape
    assert (found.any_gsd, found.tiff_datetime, found.boa, found.min_valid_fraction, found.lease_seconds) == (
        True,
        False,
        BoaOverride.NOT_APPLIED,
        0.25,
        900,
    )


@pytest.mark.parametrize(
    ("text", "buckets"),
    [
        ("", {"scenes"}),
        ("one", {"scenes", "one"}),
        (" one, two ,", {"scenes", "one", "two"}),
        (",,", {"scenes"}),
        ("scenes", {"scenes"}),
    ],
)
def test_allowed_buckets(monkeypatch: pytest.MonkeyPatch, text: str, buckets: set[str]) -> None:
    monkeypatch.setenv("CLAYLINE_ALLOWED_BUCKETS", text)
    assert load(PlanSettings).buckets() == buckets


def test_what_the_local_cloud_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (load(PlanSettings).names, load(PlanSettings).place) == (Names(), Place.AWS)
    monkeypatch.setenv("CLAYLINE_NAMES", '{"s3://scenes/file/": "file:///", "s3://embeddings/": "file:///out/"}')
    monkeypatch.setenv("CLAYLINE_PLACE", "cli")
    found = load(PlanSettings)
    assert found.names.of("s3://embeddings/a/b.parquet") == "file:///out/a/b.parquet"
    assert found.names.of("s3://scenes/file/data/B04.tif") == "file:///data/B04.tif"
    assert found.place is Place.CLI
    monkeypatch.setenv("CLAYLINE_NAMES", "")
    assert load(PlanSettings).names == Names()


def test_a_variable_of_another_function_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAYLINE_SOMETHING_ELSE", "x")
    assert load(SettleSettings).settled_queue_url == "https://sqs/settled"


def test_buckets_of_others_are_asked_as_the_deployment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAYLINE_REQUESTER_PAYS_BUCKETS", "usgs-landsat")
    monkeypatch.setenv("CLAYLINE_BUCKET_REGIONS", "usgs-landsat=us-west-2")
    expected = Access(requester_pays=frozenset({"usgs-landsat"}), regions={"usgs-landsat": "us-west-2"})
    assert load(PlanSettings).access() == load(TileSettings).access() == expected
    monkeypatch.setenv("CLAYLINE_BUCKET_REGIONS", "usgs-landsat")
    with pytest.raises(SettingsError, match="is no BUCKET=REGION"):
        load(PlanSettings)


@pytest.mark.parametrize(
    ("text", "names"), [("", []), ("a.yaml", ["a.yaml"]), (" a.yaml, b.yaml ,", ["a.yaml", "b.yaml"])]
)
def test_sensors_of_ones_own_lie_in_the_bucket_of_models(
    monkeypatch: pytest.MonkeyPatch, text: str, names: list[str]
) -> None:
    monkeypatch.setenv("CLAYLINE_SENSOR_FILES", text)
    monkeypatch.setenv("CLAYLINE_MODEL_MANIFEST", "s3://models/models/starter/manifest.json")
    assert load(PlanSettings).own_sensors() == {name: f"s3://models/sensors/{name}" for name in names}
