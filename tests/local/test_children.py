"""What children of the local cloud listen on: a port that cannot be another's, and an end that is said where there is none."""

import contextlib
import errno
import socket
import subprocess
import sys
import urllib.request
from http.server import HTTPServer
from pathlib import Path

import pytest
from tests.server.model_folders import build_model_folder

from clayline_local import moto_process
from clayline_local.children import reserved_port
from clayline_local.errors import LocalCloudError
from clayline_local.model_folder import ModelFolder
from clayline_local.model_server import ModelServer
from clayline_local.moto_process import MotoServer


def test_a_reserved_port_is_its_childs_alone() -> None:
    with reserved_port() as port, reserved_port() as other, contextlib.closing(socket.socket()) as stranger:
        assert other != port
        with pytest.raises(OSError, match="in use") as refused:
            stranger.bind(("127.0.0.1", port))
        assert refused.value.errno == errno.EADDRINUSE
        # Another process, and with SO_REUSEADDR, as a child that was told the port has it.
        program = f"from http.server import HTTPServer; HTTPServer(('127.0.0.1', {port}), None)"
        assert HTTPServer.allow_reuse_address
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_moto_that_ends_as_it_starts_is_said_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no_moto_program.py").write_text("raise SystemExit('no moto today')")
    monkeypatch.setattr(moto_process, "_PROGRAM", "no_moto_program")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    log = tmp_path / "moto.log"
    with pytest.raises(LocalCloudError, match=rf"did not come up; its output is in {log}"), MotoServer(log=log):
        pytest.fail("there is none to come up")
    assert log.read_text() == "no moto today\n"


def test_two_motos_at_a_time_are_two() -> None:
    with MotoServer() as one, MotoServer() as other:
        one.client("sqs").create_queue(QueueName="of-one")
        assert "QueueUrls" not in other.client("sqs").list_queues()
        assert len(one.client("sqs").list_queues()["QueueUrls"]) == 1


def test_the_model_server_is_found_by_its_log_whatever_level_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAYLINE_LOG_LEVEL", "ERROR")
    monkeypatch.setenv("CLAYLINE_PORT", "1")
    folder = ModelFolder.read(build_model_folder(tmp_path / "models"))
    (tmp_path / "scratch").mkdir()
    with ModelServer(folder, scratch=tmp_path / "scratch", log=tmp_path / "log") as server:
        with pytest.raises(LocalCloudError, match="does not listen yet"):
            _ = server.url
        server.wait(seconds=200, notice=lambda _: None)
        with urllib.request.urlopen(f"{server.url}/ping", timeout=60) as answer:  # noqa: S310 - our own URL
            assert answer.status == 200
