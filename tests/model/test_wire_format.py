"""docs/wire.md: what is written can be read by hand, and whatever is not that format is a WireError and nothing
else.
"""

import contextlib
import json
import struct
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from tests.model.wire_objects import HEADER, RUN, file_of, request, response, split

from clayline.errors import WireError
from clayline.model.wire import MAX_HEADER_BYTES, BatchHeader, Request, Response

BODIES = {"request": request().to_bytes(), "response": response().to_bytes()}
readers = st.sampled_from([Request, Response])


def read_or_refuse(reader: type[Request | Response], body: bytes) -> Request | Response | None:
    """Read; None for a WireError.

    Any other exception is a failed test, and so is a request that reads differently from a file.
    """
    if reader is Request:
        return from_both(body)
    try:
        return reader.from_bytes(body)
    except WireError:
        return None


def from_both(body: bytes) -> Request | None:
    """Read a request from memory and from a file, which must give the same; None if both refuse."""
    with tempfile.TemporaryFile("w+b") as file:
        file.write(body)
        try:
            memory = Request.from_bytes(body)
        except WireError:
            with pytest.raises(WireError):
                Request.from_file(file)
            return None
        lazy = Request.from_file(file)
        assert memory.header == lazy.header
        np.testing.assert_array_equal(memory.index, lazy.index, strict=True)
        assert memory.inputs.keys() == lazy.inputs.keys()
        for name, tensor in memory.inputs.items():
            assert (tensor.shape, tensor.dtype) == (lazy.inputs[name].shape, lazy.inputs[name].dtype)
            assert tensor[:].tobytes() == lazy.inputs[name][:].tobytes()
    return memory


@given(
    chips=st.integers(1, 5),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    data=st.data(),
)
def test_a_request_comes_back_as_it_went(
    chips: int, dtype: str, shape: tuple[int, int, int], data: st.DataObject
) -> None:
    pixels = data.draw(npst.arrays(dtype, (chips, *shape)))
    index = np.sort(data.draw(npst.arrays(np.int64, chips, elements=st.integers(0, 2**40), unique=True)))
    back = Request.from_bytes(Request(header=HEADER, index=index, inputs={"pixels": pixels}).to_bytes())
    assert back.header == HEADER
    np.testing.assert_array_equal(back.index, index, strict=True)
    np.testing.assert_array_equal(back.inputs["pixels"][:], pixels, strict=True)


@given(chips=st.integers(1, 5), dimensions=st.integers(1, 9), loss=st.booleans(), data=st.data())
def test_a_response_comes_back_as_it_went(chips: int, dimensions: int, *, loss: bool, data: st.DataObject) -> None:
    given_ = Response(
        header=HEADER,
        index=np.arange(chips, dtype=np.int64),
        embeddings=data.draw(npst.arrays(np.float32, (chips, dimensions))),
        status=data.draw(npst.arrays(np.uint8, chips, elements=st.integers(0, 1))),
        loss=data.draw(npst.arrays(np.float32, chips)) if loss else None,
        loss_metric="l1" if loss else None,
    )
    back = Response.from_bytes(given_.to_bytes())
    assert (back.header, back.loss_metric) == (HEADER, given_.loss_metric)
    for name in ("index", "embeddings", "status"):
        np.testing.assert_array_equal(getattr(back, name), getattr(given_, name), strict=True)
    if given_.loss is None:
        assert back.loss is None
    else:
        assert back.loss is not None
        np.testing.assert_array_equal(back.loss, given_.loss, strict=True)


@pytest.mark.parametrize("seconds", [0.0, 0.25, 3600.0])
def test_a_response_says_how_long_it_took(seconds: float) -> None:
    body = replace(response(), compute_seconds=seconds).to_bytes()
    assert split(body)[0]["__metadata__"]["compute_seconds"] == f"{seconds:.6f}"
    assert Response.from_bytes(body).compute_seconds == seconds


@pytest.mark.parametrize("said", ["", "soon", "nan", "inf", "-1", "3601", "1e400", "9" * 5_000])
def test_seconds_that_cannot_be_are_none_and_the_vectors_count(said: str) -> None:
    header, data = split(response().to_bytes())
    header["__metadata__"]["compute_seconds"] = said
    back = Response.from_bytes(file_of(header, data))
    assert back.compute_seconds is None
    assert back.content_digest() == response().content_digest()


def test_a_digest_is_about_all_but_the_seconds() -> None:
    ours = response()
    assert replace(ours, compute_seconds=1.0).content_digest() == ours.content_digest()
    assert Response.from_bytes(ours.to_bytes()).content_digest() == ours.content_digest()
    others = (
        replace(ours, embeddings=ours.embeddings + 1),
        replace(ours, index=ours.index + 1),
        replace(ours, status=1 - ours.status),
        replace(ours, loss=None, loss_metric=None),
        replace(ours, loss_metric="another"),
        replace(ours, header=replace(HEADER, batch="b00043")),
    )
    assert len({each.content_digest() for each in (ours, *others)}) == len(others) + 1


def test_a_view_that_is_not_contiguous_is_written_as_it_reads() -> None:
    pixels = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)[:, ::-1, :, ::2]
    back = Request.from_bytes(Request(header=HEADER, index=np.arange(2), inputs={"pixels": pixels}).to_bytes())
    np.testing.assert_array_equal(back.inputs["pixels"][:], pixels)


def test_the_request_is_the_documented_file() -> None:
    header, data = split(request().to_bytes())
    assert header["__metadata__"] == {
        "clayline": "request/2",
        "run": RUN,
        "batch": "b00042",
        "folder": "tiny-v1.0",
        "token": "tiny-v1.0-test",
        "digest": "sha256:" + "ab" * 32,
    }
    tensors = {name: (entry["dtype"], entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    assert tensors == {
        "index": ("I64", [3]),
        "pixels": ("U16", [3, 2, 8, 8]),
        "time": ("F32", [3, 4]),
        "latlon": ("F32", [3, 4]),
    }
    start, stop = header["pixels"]["data_offsets"]
    assert list(struct.unpack(f"<{3 * 2 * 64}H", data[start:stop])) == list(range(3 * 2 * 64))


@pytest.mark.parametrize("loss", [True, False])
def test_the_response_is_the_documented_file(*, loss: bool) -> None:
    header, _ = split(response(loss=loss).to_bytes())
    assert header["__metadata__"]["clayline"] == "response/2"
    assert header["__metadata__"]["loss_metric"] == ("linear-thumb8-l1" if loss else "")
    tensors = {name: (entry["dtype"], entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    expected = {"index": ("I64", [3]), "embeddings": ("F32", [3, 6]), "status": ("U8", [3])}
    assert tensors == (expected | {"loss": ("F32", [3])} if loss else expected)


@settings(max_examples=300)
@given(kind=st.sampled_from(sorted(BODIES)), reader=readers, data=st.data())
def test_a_flipped_bit_is_read_or_refused(kind: str, reader: type[Request | Response], data: st.DataObject) -> None:
    body = bytearray(BODIES[kind])
    header = struct.unpack("<Q", body[:8])[0] + 8
    for _ in range(data.draw(st.integers(1, 4))):
        # Mostly in the header: a flipped pixel is a pixel.
        place = data.draw(st.one_of(st.integers(0, header - 1), st.integers(0, len(body) - 1)))
        body[place] ^= 1 << data.draw(st.integers(0, 7))
    read_or_refuse(reader, bytes(body))


@given(start=st.integers(0, 6), stop=st.integers(0, 8))
def test_chips_of_a_file_are_those_of_memory(start: int, stop: int) -> None:
    body = request(6).to_bytes()
    with tempfile.TemporaryFile("w+b") as file:
        file.write(body)
        lazy = Request.from_file(file)
        for name, tensor in Request.from_bytes(body).inputs.items():
            np.testing.assert_array_equal(lazy.inputs[name][start:stop], tensor[start:stop], strict=True)


def test_a_file_is_read_only_where_it_is_sliced(tmp_path: Path) -> None:
    """Chips cut off after the header was read are missed only by whoever asks for them."""
    path = tmp_path / "request"
    path.write_bytes(
        tensor_file(
            "request/2",
            {"index": np.arange(4), "pixels": np.arange(4 * 3 * 8 * 8, dtype=np.uint16).reshape(4, 3, 8, 8)},
        )
    )
    with path.open("r+b") as file:
        lazy = Request.from_file(file)
        file.truncate(path.stat().st_size - 1)
        assert lazy.inputs["pixels"][1:3].ravel().tolist() == list(range(192, 3 * 192))
        with pytest.raises(WireError, match="file ends before"):
            lazy.inputs["pixels"][3:]


def test_a_request_read_from_a_file_is_written_as_it_was() -> None:
    with tempfile.TemporaryFile("w+b") as file:
        file.write(BODIES["request"])
        back = from_both(Request.from_file(file).to_bytes())
    assert back is not None
    np.testing.assert_array_equal(back.inputs["pixels"][:], request().inputs["pixels"][:])


@pytest.mark.parametrize("kind", sorted(BODIES))
def test_a_truncated_file_is_refused_at_every_length(kind: str) -> None:
    for length in range(len(BODIES[kind])):
        assert from_both(BODIES[kind][:length]) is None
        with pytest.raises(WireError):
            (Request if kind == "request" else Response).from_bytes(BODIES[kind][:length])


@given(reader=readers, body=st.binary(max_size=200))
def test_noise_is_refused(reader: type[Request | Response], body: bytes) -> None:
    assert read_or_refuse(reader, body) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(
            ["I64", "U8", "U16", "F32", "F64", "F16", "BF16", "F8_E4M3", "C64", "BOOL", "F4", "X"]
        ),
        "shape": st.lists(st.sampled_from([0, 1, 2, 3, 2**31, 2**63]), max_size=5),
        "data_offsets": st.sampled_from([[0, 0], [0, 8], [0, 16], [8, 0], [0, 2**63]]),
    }
)
names = st.sampled_from(["index", "pixels", "embeddings", "status", "loss", "time", "x"])
metadata = st.fixed_dictionaries(
    {},
    optional={
        "clayline": st.sampled_from(["request/2", "response/2", "request/1"]),
        "run": st.just(RUN),
        "batch": st.just("b00001"),
        "folder": st.text(max_size=5),
        "token": st.text(max_size=5),
        "digest": st.text(max_size=5),
        "loss_metric": st.text(max_size=5),
    },
)


@settings(max_examples=400)
@given(
    reader=readers,
    header=st.one_of(
        json_values,
        st.dictionaries(names, st.one_of(entries, json_values), max_size=4).flatmap(
            lambda tensors: st.one_of(metadata, json_values).map(lambda meta: {**tensors, "__metadata__": meta})
        ),
    ),
    data=st.sampled_from([b"", b"\0" * 8, b"\0" * 16, b"\xff" * 24]),
)
def test_any_json_for_a_header_is_read_or_refused(
    reader: type[Request | Response], header: object, data: bytes
) -> None:
    read_or_refuse(reader, file_of(header, data))


@settings(max_examples=300)
@given(kind=st.sampled_from(sorted(BODIES)), data=st.data())
def test_a_header_with_one_value_changed_is_read_or_refused(kind: str, data: st.DataObject) -> None:
    header, tensors = split(BODIES[kind])
    name = data.draw(st.sampled_from(sorted(header)))
    field = data.draw(st.sampled_from(sorted(header[name])))
    header[name][field] = data.draw(
        st.one_of(json_values, st.sampled_from([[3], [], [0], [3, 1], [1, 3], "I64", "U8", "F32", [0, 24]]))
    )
    read_or_refuse(Request if kind == "request" else Response, file_of(header, tensors))


@pytest.mark.parametrize("length", [0, 1, MAX_HEADER_BYTES + 1, 10**12, 2**63, 2**64 - 1])
def test_a_header_of_an_impossible_length_is_refused_before_it_is_read(length: int) -> None:
    with pytest.raises(WireError, match="header is too large"):
        Request.from_bytes(struct.pack("<Q", length) + b" " * (MAX_HEADER_BYTES + 100))


def test_a_header_over_the_limit_is_refused_though_it_is_valid() -> None:
    header, data = split(BODIES["request"])
    header["__metadata__"]["padding"] = "x" * MAX_HEADER_BYTES
    with pytest.raises(WireError, match="header is too large"):
        Request.from_bytes(file_of(header, data))


def test_a_deeply_nested_header_is_refused() -> None:
    with pytest.raises(WireError):
        Request.from_bytes(file_of(b"[" * 50_000 + b"]" * 50_000))


def with_metadata(kind: str, change: dict[str, str | None]) -> bytes:
    """Give the good file with some metadata changed, or, for None, removed."""
    header, data = split(BODIES[kind])
    header["__metadata__"] = {
        name: value for name, value in (header["__metadata__"] | change).items() if value is not None
    }
    return file_of(header, data)


@pytest.mark.parametrize("name", ["clayline", "run", "batch", "folder", "token", "digest"])
@pytest.mark.parametrize(("kind", "reader"), [("request", Request), ("response", Response)])
def test_metadata_may_lack_nothing(kind: str, reader: type[Request | Response], name: str) -> None:
    with pytest.raises(WireError):
        reader.from_bytes(with_metadata(kind, {name: None}))


@pytest.mark.parametrize("version", ["", "0", "1", "3", "02", "2.0", "2 ", "2\n"])
@pytest.mark.parametrize(("kind", "reader"), [("request", Request), ("response", Response)])
def test_another_version_is_refused(kind: str, reader: type[Request | Response], version: str) -> None:
    """Version 1 named an attempt."""
    with pytest.raises(WireError, match=f"expected a {kind}/2 object"):
        reader.from_bytes(with_metadata(kind, {"clayline": f"{kind}/{version}", "attempt": "1"}))


def test_null_metadata_is_refused() -> None:
    with pytest.raises(WireError):
        Request.from_bytes(file_of({"__metadata__": None}))


def test_a_request_is_no_response_and_the_other_way_round() -> None:
    with pytest.raises(WireError, match="expected a response/2 object"):
        Response.from_bytes(BODIES["request"])
    with pytest.raises(WireError, match="expected a request/2 object"):
        Request.from_bytes(BODIES["response"])


def tensor_file(kind: str, tensors: dict[str, np.ndarray[Any, Any]], **extra: str) -> bytes:
    """Write any tensors by hand under a good header."""
    types = {"int64": "I64", "int32": "I32", "uint8": "U8", "uint16": "U16", "float32": "F32", "float64": "F64"}
    header: dict[str, Any] = {"__metadata__": {**HEADER.metadata(kind), **extra}}
    data = b""
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": types[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + tensor.nbytes],
        }
        data += tensor.tobytes()
    return file_of(header, data)


GOOD_REQUEST: dict[str, np.ndarray[Any, Any]] = {"index": np.arange(2), "pixels": np.zeros((2, 3, 8, 8), np.uint16)}
GOOD_RESPONSE: dict[str, np.ndarray[Any, Any]] = {
    "index": np.arange(2),
    "embeddings": np.zeros((2, 4), np.float32),
    "status": np.zeros(2, np.uint8),
}


def test_the_hand_written_files_are_good() -> None:
    assert Request.from_bytes(tensor_file("request/2", GOOD_REQUEST)).inputs["pixels"].shape == (2, 3, 8, 8)
    assert Response.from_bytes(tensor_file("response/2", GOOD_RESPONSE)).loss is None


@pytest.mark.parametrize(
    "change",
    [
        {"index": np.arange(3)},
        {"index": np.zeros((0,), np.int64), "pixels": np.zeros((0, 3, 8, 8), np.uint16)},
        {"index": np.arange(2, dtype=np.int32)},
        {"index": np.zeros((2, 1), np.int64)},
        {"pixels": np.zeros((2, 3, 8), np.uint16)},
        {"pixels": np.zeros((2, 3, 8, 8, 1), np.uint16)},
        {"time": np.zeros((3, 4), np.float32)},
        {"time": np.array(1.0, np.float32)},
    ],
    ids=[
        "wrong N",
        "no chip",
        "I32 index",
        "2-d index",
        "3-d pixels",
        "5-d pixels",
        "another N of time",
        "scalar time",
    ],
)
def test_a_request_whose_tensors_do_not_fit_is_refused(change: dict[str, np.ndarray[Any, Any]]) -> None:
    with pytest.raises(WireError):
        Request.from_bytes(tensor_file("request/2", GOOD_REQUEST | change))


@pytest.mark.parametrize("missing", ["index", "pixels"])
def test_a_request_lacks_no_tensor(missing: str) -> None:
    with pytest.raises(WireError, match=missing):
        Request.from_bytes(
            tensor_file("request/2", {name: tensor for name, tensor in GOOD_REQUEST.items() if name != missing})
        )


@pytest.mark.parametrize(
    ("change", "metric"),
    [
        ({"embeddings": np.zeros((3, 4), np.float32)}, ""),
        ({"embeddings": np.zeros((2, 4), np.float64)}, ""),
        ({"embeddings": np.zeros(2, np.float32)}, ""),
        ({"status": np.zeros(1, np.uint8)}, ""),
        ({"status": np.zeros(2, np.int64)}, ""),
        ({"loss": np.zeros(2, np.float32)}, ""),
        ({"loss": np.zeros(3, np.float32)}, "l1"),
        ({}, "l1"),
    ],
    ids=[
        "wrong N",
        "F64",
        "1-d",
        "N of status",
        "type of status",
        "loss without a name",
        "N of loss",
        "name without a loss",
    ],
)
def test_a_response_whose_tensors_do_not_fit_is_refused(change: dict[str, np.ndarray[Any, Any]], metric: str) -> None:
    with pytest.raises(WireError):
        Response.from_bytes(tensor_file("response/2", GOOD_RESPONSE | change, loss_metric=metric))


def test_errors_name_batch_and_run() -> None:
    with pytest.raises(WireError, match=f"batch b00042 of run {RUN}"):
        Request.from_bytes(tensor_file("request/2", GOOD_REQUEST | {"index": np.arange(5)}))


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8)))
def test_any_metadata_is_a_header_or_a_wire_error(content: dict[str, str]) -> None:
    with contextlib.suppress(WireError):
        BatchHeader.from_metadata(content, "request/2")


def test_the_header_survives_json_as_strings() -> None:
    """Safetensors metadata are strings."""
    text = json.loads(json.dumps(HEADER.metadata("request/2")))
    assert all(isinstance(value, str) for value in text.values())
    assert BatchHeader.from_metadata(text, "request/2") == HEADER
