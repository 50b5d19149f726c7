"""What leaves this machine is what the manifest says, and nothing else."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from tests.server.model_folders import build_model_folder

from clayline.errors import ModelError
from publish.folder import ModelFolder, read_folder

STARTER = Path(__file__).parents[2] / "model" / "starter" / "starter-v1.0"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return build_model_folder(tmp_path)


def names(folder: ModelFolder) -> set[str]:
    return {file.name for file in folder.files}


def test_every_file_of_the_starter_goes_along() -> None:
    folder = read_folder(STARTER)
    assert names(folder) | {"manifest.json"} == {file.name for file in STARTER.iterdir()}
    for file in folder.files:
        assert file.digest == "sha256:" + hashlib.sha256(file.path.read_bytes()).hexdigest()
    assert folder.card.startswith("# Clayline starter")
    assert folder.metrics is None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("tiny.onnx", b"other bytes", "damaged or was replaced"),
        ("tiny.onnx", None, "cannot be read"),
        ("card.md", None, "cannot be read"),
        ("manifest.json", None, "no readable manifest.json"),
        ("manifest.json", b"{}", "cannot be used"),
        ("leftover.data", b"weights that no digest covers", "does not list"),
        ("metrics.json", b"[1]", "JSON object"),
        ("metrics.json", b'{"cosine": NaN}', "NaN"),
        ("metrics.json", b"{", "not JSON"),
    ],
)
def test_a_folder_that_is_off_is_refused_by_file(path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is None:
        (path / name).unlink()
    else:
        (path / name).write_bytes(content)
    with pytest.raises(ModelError, match=words) as raised:
        read_folder(path)
    assert name in str(raised.value)


def test_a_folder_under_another_name_is_refused(path: Path) -> None:
    with pytest.raises(ModelError, match=r"must be named tiny-v1\.0"):
        read_folder(path.rename(path.with_name("tiny-v2.0")))


def test_a_card_that_is_no_text_is_refused(path: Path) -> None:
    (path / "card.md").write_bytes(b"\xff\xfe\xff")
    content = json.loads((path / "manifest.json").read_text())
    content["files"]["card.md"] = "sha256:" + hashlib.sha256(b"\xff\xfe\xff").hexdigest()
    (path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"card\.md is not UTF-8"):
        read_folder(path)


def test_the_report_is_the_chosen_one_else_the_folders_else_the_one_beside_it(path: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny-v1.0.metrics.json").write_text('{"from": "beside"}')
    assert read_folder(path).metrics == {"from": "beside"}
    (path / "metrics.json").write_text('{"from": "folder"}')
    folder = read_folder(path)
    assert folder.metrics == {"from": "folder"}
    assert "metrics.json" in names(folder)
    (tmp_path / "chosen.json").write_text('{"from": "chosen"}')
    assert read_folder(path, metrics=tmp_path / "chosen.json").metrics == {"from": "chosen"}
    with pytest.raises(ModelError, match="there is no report"):
        read_folder(path, metrics=tmp_path / "missing.json")


def test_licences_go_along_unlisted(path: Path) -> None:
    (path / "LICENSE").write_text("Apache")
    (path / "NOTICE.txt").write_text("Thanks")
    assert names(read_folder(path)) == {"tiny.onnx", "card.md", "LICENSE", "NOTICE.txt"}


def test_a_file_written_to_after_it_was_read_is_noticed(path: Path) -> None:
    folder = read_folder(path)
    [graph] = [file for file in folder.files if file.name == "tiny.onnx"]
    graph.check_unchanged()
    os.utime(graph.path, ns=(graph.modified + 1, graph.modified + 1))
    with pytest.raises(ModelError, match="while it was published"):
        graph.check_unchanged()
