"""What children of the local cloud listen on.

A port that cannot be another's, and an end that is said where there is none.
"""

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
from clayline_local.children import child_environment, reserved_port
from clayline_local.errors import LocalCloudError
from clayline_local.model_folder import ModelFolder
from clayline_local.model_server import ModelServer
from clayline_local.moto_process import MotoServer
from clayline_local.template import REGION


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


def test_nothing_of_the_users_own_aws_and_no_proxy_comes_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Profiles that are not there, files that cannot be read, a proxy that leads nowhere: here, and in a child."""
    (tmp_path / "broken").write_text("[broken")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "broken"))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with MotoServer() as server:
        server.client("sqs").create_queue(QueueName="here")
        environment = child_environment(server.environment(), {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION})
        program = "import boto3; print(boto3.client('sqs').list_queues()['QueueUrls'][0])"
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=60
        )
    assert done.stdout.strip().endswith("/here")


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", "127.0.0.1,localhost"), ("intranet", "intranet,127.0.0.1,localhost"), ("*", "*")],
)
def test_what_the_user_reaches_without_a_proxy_stays_so(
    monkeypatch: pytest.MonkeyPatch, given: str, expected: str
) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("NO_PROXY", given)
    assert child_environment()["no_proxy"] == child_environment()["NO_PROXY"] == expected


def test_two_motos_at_a_time_are_two() -> None:
    with MotoServer() as one, MotoServer() as other:
        one.client("sqs").create_queue(QueueName="of-one")
        assert "QueueUrls" not in other.client("sqs").list_queues()
        assert len(one.client("sqs").list_queues()["QueueUrls"]) == 1


def test_the_model_server_is_found_by_its_log_whatever_level_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
