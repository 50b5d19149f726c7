"""Names of folders and tokens.

Random weights always say so, and whatever is exported without a name fits into an identifier.
"""

import itertools
import json
import re
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from clay.__main__ import main
from clay.architecture import ARCHITECTURES
from clay.entry import Request
from clay.export import PRECISIONS, folder_name
from clay.mask import Mask
from clay.sensor import known_sensors
from clay.weights import Source
from clayline.model.manifest import Checkpoint, Token

FILE = {"file": "clay.ckpt", "digest": "sha256:" + "0" * 64}


def source(size: str, seed: int | None) -> Source:
    checkpoint = Checkpoint(architecture=f"clay-v1.5-{size}", seed=seed, **({} if seed is not None else FILE))
    return Source(architecture=ARCHITECTURES[size], weights={}, checkpoint=checkpoint, packages=())


def name_of(
    size: str, seed: int | None, *, precision: str = "fp32", loss: bool = False, name: str | None = None
) -> str:
    return folder_name(source(size, seed), precision=precision, loss=loss, name=name, version="1.5")


@pytest.mark.parametrize("size", ARCHITECTURES)
def test_every_default_name_fits_with_three_bands_and_another_chip_size(size: str) -> None:
    token, seen = TypeAdapter(Token), set()
    requests = []
    for sensor, loss in itertools.product(known_sensors().values(), (False, True)):
        rgb = ("red", "green", "blue")
        bands = rgb if set(rgb) <= set(sensor.names) else sensor.names[:3]
        requests.append(Request(sensor=sensor, bands=bands, chip_size=128, mask=Mask() if loss else None))
    for seed, precision, request in itertools.product((None, 0, 7, 2026), PRECISIONS, requests):
        folder = name_of(size, seed, precision=precision, loss=request.mask is not None)
        assert ("untrained" in re.split(r"-", folder)) == (seed is not None)
        said = token.validate_python(request.token(folder))
        assert said.startswith(f"{folder}-{request.sensor.slug}-c128"), "spelt out, not hashed"
        seen.add(said)
    assert len(seen) == 4 * len(PRECISIONS) * len(requests)


def test_choices_that_are_too_long_to_spell_out_are_hashed() -> None:
    sensor = known_sensors()["landsat-c2l1"]
    folder = name_of("large", 0, precision="fp16", loss=True)
    choices = [*itertools.permutations(sensor.names, 3)]
    for hour, order in itertools.product(("noon", "acquisition"), ("lonlat", "all-zero")):
        requests = [
            Request(sensor=sensor, bands=bands, chip_size=128, hour=hour, coordinate_order=order) for bands in choices
        ]
        tokens = [TypeAdapter(Token).validate_python(request.token(folder)) for request in requests]
        assert len(set(tokens)) == len(tokens)
    assert re.fullmatch(rf"{re.escape(folder)}-ls-c2l1-[0-9a-f]{{6}}", tokens[0])


def test_folders_are_named_after_weights_precision_and_loss() -> None:
    assert name_of("large", None, precision="fp16", loss=True) == "clay-fp16-loss-v1.5"
    assert name_of("base", None) == "clay-base-v1.5"
    assert name_of("large", 0) == "untrained-large-v1.5"
    assert name_of("tiny", 7, precision="int8", loss=True) == "untrained-t7-int8-loss-v1.5"
    assert name_of("tiny", None, name="mine") == "mine-v1.5"
    assert name_of("tiny", 0, name="mine", loss=True) == "mine-untrained-loss-v1.5"
    assert name_of("tiny", 0, name="untrainedly") == "untrainedly-untrained-v1.5"
    assert name_of("tiny", 0, name="my-untrained-one") == "my-untrained-one-v1.5"
    assert len({name_of(size, seed) for size in ARCHITECTURES for seed in (None, 0, 1, 2)}) == 4 * len(ARCHITECTURES)


def test_a_name_of_the_users_own_does_not_make_random_weights_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["export", "--size", "tiny", "--name", "clay", "--sensor", "naip", "--chip", "64", "--out", str(tmp_path)])
        == 0
    )
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "the weights are random numbers, so the name is clay-untrained, not clay"
    (folder,) = tmp_path.iterdir()
    assert folder.name == "clay-untrained-v1.5"
    assert [entry["token"] for entry in json.loads((folder / "manifest.json").read_text())["entries"]] == [
        "clay-untrained-v1.5-naip-c64"
    ]
