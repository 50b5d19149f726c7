"""The model folder's manifest: its digest recomputed by hand, what it refuses, which entry a scene gets."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clayline.errors import ModelError, SceneError
from clayline.model.manifest import Manifest, read_manifest

FILES = {
    "rgb.onnx": "sha256:" + "1" * 64,
    "all.onnx": "sha256:" + "2" * 64,
    "all.bin": "sha256:" + "3" * 64,
    "card.md": "sha256:" + "4" * 64,
}

SEEDED = {"architecture": "clay-v1.5-tiny", "seed": 0}


def digest(entry: dict[str, Any], files: dict[str, str]) -> str:
    """Give the documented digest.

    Sha256 over the entry's canonical JSON, ``files`` as a mapping to hashes, without ``digest`` itself.
    """
    content = {name: value for name, value in entry.items() if name != "digest"} | {
        "files": {name: files[name] for name in entry["files"]}
    }
    return "sha256:" + hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def entry(token: str | None = None, **changes: Any) -> dict[str, Any]:
    """Give an entry as its JSON holds it, under the right digest unless ``digest`` is among the changes."""
    content: dict[str, Any] = {
        "token": token or "tiny-v1.0-rgb",
        "graph": "rgb.onnx",
        "files": ["rgb.onnx"],
        "sensor": "sentinel-2-l2a",
        "bands": ["red", "green", "blue"],
        "dtype": "uint16",
        "chip_size": 64,
        "gsd": 10.0,
        "dimensions": 112,
        "inputs": ["pixels"],
        "loss_metric": "linear-thumb8-l1",
        "stretch": {"red": [0.0, 3000.0], "green": [0.0, 3000.0], "blue": [0.0, 3000.0]},
        "nodata_fill": 0.0,
        "options": {"precision": "fp32", "coordinate_order": None, "hour": None},
        "preprocessing": "1",
    } | changes
    known = all(name in FILES for name in content["files"])
    return {"digest": digest(content, FILES) if known else "sha256:" + "0" * 64} | content


def manifest(*entries: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "schema": "clayline-model/1",
        "name": "tiny",
        "version": "1.0",
        "licence": "Apache-2.0",
        "card": "card.md",
        "files": FILES,
        "entries": list(entries) or [entry()],
    } | changes


def read(content: object) -> Manifest:
    return read_manifest(json.dumps(content).encode(), source="s3://models/tiny-v1.0/manifest.json")


def test_a_good_manifest() -> None:
    found = read(manifest(entry(), entry("tiny-v1.0-all", graph="all.onnx", files=["all.onnx", "all.bin"])))
    assert found.folder == "tiny-v1.0"
    assert found.entry("tiny-v1.0-all").files == ("all.onnx", "all.bin")
    assert found.entries[0].stretch == {"red": (0, 3000), "green": (0, 3000), "blue": (0, 3000)}


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "uint8"},
        {"chip_size": 128},
        {"bands": ["blue", "green", "red"]},
        {"gsd": 20.0},
        {"nodata_fill": 1.0},
        {"preprocessing": "2"},
        {"stretch": None},
        {"loss_metric": None},
        {"dimensions": 113},
        {"token": "tiny-v1.1-rgb"},
        {"options": {"precision": "fp16", "coordinate_order": None, "hour": None}},
    ],
)
def test_a_digest_stands_for_everything_in_the_entry(change: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="its content gives sha256:"):
        read(manifest(entry() | change))


def test_a_digest_stands_for_the_files_bytes() -> None:
    with pytest.raises(ModelError, match="its content gives sha256:"):
        read(manifest(entry(), files=FILES | {"rgb.onnx": "sha256:" + "9" * 64}))


def test_another_file_of_the_folder_is_another_entrys_business() -> None:
    assert (
        read(manifest(entry(), files=FILES | {"card.md": "sha256:" + "9" * 64})).entries[0].digest == entry()["digest"]
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (manifest(entry(), entry()), "two entries carry the same token"),
        (manifest(entry(), entry(dimensions=5)), "two entries carry the same token"),
        (manifest(entry(files=["rgb.onnx", "gone.bin"])), "does not list: ['gone.bin']"),
        (manifest(entry(graph="all.onnx")), "does not list its graphs ['all.onnx'] among its files"),
        (manifest(entry(digest="sha256:" + "0" * 64)), "has digest sha256:0000"),
        (manifest(entries=[]), "entries"),
        (manifest(schema="clayline-model/2"), "schema"),
        (manifest(extra=1), "extra"),
        (manifest(entry(extra=1)), "extra"),
        (manifest(card="../card.md"), "card"),
        (manifest(entry(token="clay-cls")), "token"),
        (manifest(entry(token="Clay-v1.5-cls")), "token"),
        (manifest(entry(token="clay_x-v1.5-cls")), "token"),
        (manifest(entry(token="clay-v1.5")), "token"),
        (manifest(entry(token="clay-v1.5-cls\n")), "token"),
        (manifest(entry(token="c" * 40 + "-v1.5-cls")), "token"),
        (manifest(entry(bands=[])), "bands"),
        (manifest(entry(bands=["Red"])), "bands"),
        (manifest(entry(chip_size=4)), "chip_size"),
        (manifest(entry(gsd=0.0)), "gsd"),
        (manifest(entry(dtype="int16")), "dtype"),
        (manifest(entry(inputs=["pixels", "gsd"])), "inputs"),
        (manifest(files=FILES | {"a/b": "sha256:" + "1" * 64}), "files"),
        (manifest(files=FILES | {"b": "md5:1"}), "files"),
        (manifest(checkpoint=SEEDED), "which the name tiny does not say: untrained must be one of its words"),
        (manifest(checkpoint=SEEDED, name="tiny-untrainedly"), "untrained must be one of its words"),
        ([], "manifest.json"),
        ("text", "manifest.json"),
        (None, "manifest.json"),
    ],
)
def test_what_a_manifest_may_not_be(content: object, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        read(content)
    assert message in str(caught.value)
    assert "s3://models/tiny-v1.0/manifest.json" in str(caught.value)


@pytest.mark.parametrize("name", ["untrained", "untrained-tiny", "tiny-untrained-loss"])
def test_random_weights_say_so_in_their_name(name: str) -> None:
    assert read(manifest(checkpoint=SEEDED, name=name)).untrained


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_no_json(text: bytes) -> None:
    with pytest.raises(ModelError):
        read_manifest(text, source="x")


def test_an_unknown_token_names_those_there_are() -> None:
    with pytest.raises(ModelError, match=r"it has tiny-v1\.0-rgb, tiny-v1\.0-all"):
        read(manifest(entry(), entry("tiny-v1.0-all"))).entry("clay-v1.5-cls")


S2 = ("blue", "green", "red", "rededge1", "nir", "nir08", "swir16", "swir22")


@given(
    offered=st.lists(
        st.tuples(st.sampled_from(["sentinel-2-l2a", "naip"]), st.sets(st.sampled_from(S2), min_size=1)),
        min_size=1,
        max_size=5,
    ),
    bands=st.frozensets(st.sampled_from(S2)),
)
def test_a_scene_takes_the_entry_with_the_largest_subset_of_its_bands(
    offered: list[tuple[str, set[str]]], bands: frozenset[str]
) -> None:
    found = read(
        manifest(
            *(
                entry(f"m-v1-e{number}", sensor=sensor, bands=sorted(wanted))
                for number, (sensor, wanted) in enumerate(offered)
            )
        )
    )
    fitting = [
        number for number, (sensor, wanted) in enumerate(offered) if sensor == "sentinel-2-l2a" and wanted <= bands
    ]
    if not fitting:
        with pytest.raises(SceneError):
            found.choose(scene="x", sensor="sentinel-2-l2a", bands=bands)
        return
    largest = max(len(offered[number][1]) for number in fitting)
    first = next(number for number in fitting if len(offered[number][1]) == largest)
    assert found.choose(scene="x", sensor="sentinel-2-l2a", bands=bands).token == f"m-v1-e{first}"


def test_the_irish_scene_has_no_b08_and_takes_what_does_without() -> None:
    found = read(
        manifest(
            entry("m-v1-ten", bands=[*S2, "rededge2", "rededge3"]),
            entry("m-v1-rgb"),
            entry("m-v1-six", bands=["red", "green", "blue", "swir16", "swir22", "nir08"]),
        )
    )
    irish = frozenset({*S2, "rededge2", "rededge3"} - {"nir"})
    assert found.choose(scene="Ireland", sensor="sentinel-2-l2a", bands=irish).token == "m-v1-six"


def test_the_error_names_scene_bands_and_entries() -> None:
    with pytest.raises(SceneError) as caught:
        read(manifest()).choose(scene="m_4609915", sensor="naip", bands=frozenset({"red", "nir"}))
    assert caught.value.reason == "no-model-entry"
    for part in ("m_4609915", "naip", "nir red", "tiny-v1.0-rgb takes sentinel-2-l2a [red green blue]"):
        assert part in str(caught.value)
