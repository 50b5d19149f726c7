"""A sensor's file is read whole and as it says, or refused by file and field."""

from importlib.resources import files

import pytest

from clayline.errors import SensorFileError
from clayline.scene import recognition
from clayline.scene.sensor import MAX_PATTERN
from clayline.scene.sensor_file import MAX_BYTES, read_sensor

BAND = "{name: red, mean: 1, std: 2, wavelength: 0.6}"
PRODUCT = "{name: mine, collections: [c], platforms: [{pattern: '', token: p}]}"
SENSOR = f"sensor: mine\ngsd: 5\nbands: [{BAND}]\nproducts: [{PRODUCT}]\n"


def test_a_file_says_everything_of_its_sensor() -> None:
    sensor = read_sensor(SENSOR.encode(), source="mine.yaml")
    [product] = sensor.products
    assert (sensor.name, sensor.gsd, product.sensor, product.bands) == ("mine", 5.0, "mine", sensor.bands)
    assert (product.nodata, product.masks, product.mgrs_tiled, product.boa) == ((), (), False, False)
    assert product.instrument_token("whatever") == "p"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("gsd: 5", "gsd: 0", "gsd: Input should be greater than 0"),
        ("gsd: 5", "gsd: 5\ngds: 6", "gds: "),
        ("gsd: 5", "gsd: 5\ngsd: 6", "gsd is given twice"),
        ("sensor: mine\n", "", "sensor: "),
        ("sensor: mine", "sensor: 'mi ne'", "a sensor is named with letters"),
        ("std: 2", "std: .nan", "bands.0.std: "),
        ("std: 2", "std: 0", "bands.0.std: "),
        ("wavelength: 0.6", "wavelength: 600", "bands.0.wavelength: "),
        (BAND, f"{BAND}, {BAND}", "band red is described twice"),
        (BAND, "", "bands: "),
        ("name: red", "name: Red", "bands.0: a band is named with a-z"),
        ("collections: [c]", "collections: c", "products.0.collections: "),
        ("collections: [c]", "collections: [c], projection: EPSG:3857", "a projection is written as PROJ does"),
        ("collections: [c]", "collections: [1]", "products.0.collections.0: "),
        ("collections: [c]", "collections: [c], file_names: ['(']", "products.0.file_names.0: "),
        ("collections: [c]", f"collections: [c], file_names: ['{'a' * (MAX_PATTERN + 1)}']", "at most 200 characters"),
        ("collections: [c]", "collections: [c], names: {blue: [B]}", "names blue, which is no band"),
        ("collections: [c]", "collections: [c], tiling: wrs", "products.0.tiling: "),
        ("collections: [c]", "collections: [c], sensor: other", "products.0.sensor: "),
        ("pattern: ''", "pattern: 'x'", "the last platform's pattern is ''"),
        ("token: p", "token: 'P P'", "a platform's token is of a-z"),
        ("sensor: mine", "sensor: &name mine\ngsd2: *name", "an alias"),
        ("bands: [", "bands: ]", "no YAML"),
        (SENSOR, "[" * 20_000, "no YAML"),
        (SENSOR, "!!python/object/apply:os.getcwd []", "no YAML"),
        (SENSOR, "\x00", "no YAML"),
        (SENSOR, "", "the file: "),
        (SENSOR, f"# {'x' * MAX_BYTES}", "over the 200000"),
    ],
)
def test_a_mistake_is_named_by_file_and_field(old: str, new: str, told: str) -> None:
    assert old in SENSOR
    with pytest.raises(SensorFileError) as caught:
        read_sensor(SENSOR.replace(old, new).encode(), source="mine.yaml")
    assert "mine.yaml" in str(caught.value)
    assert told in str(caught.value)


def test_one_name_leads_to_one_band() -> None:
    bands = f"{BAND[:-1]}, aliases: [B1]}}, {{name: nir, mean: 1, std: 2, wavelength: 0.8, aliases: [b1]}}"
    with pytest.raises(SensorFileError, match="'b1' is a name of red and of nir"):
        read_sensor(SENSOR.replace(BAND, bands).encode(), source="mine.yaml")


def test_a_built_in_sensor_is_the_file_of_its_name() -> None:
    """The command names the sensors in its help by their files, without reading them."""
    folder = files("clayline") / "data" / "sensors"
    assert recognition.sensor_names() == tuple(recognition.sensors()) != ()
    for name, sensor in recognition.sensors().items():
        assert read_sensor((folder / f"{name}.yaml").read_bytes(), source=name) == sensor
        assert sensor.name == name
