"""What `sam local invoke` is given.

A template that sam itself finds valid, and a way from another address to 127.0.0.1.
"""

import http.server
import json
import subprocess
import threading
import urllib.request
from pathlib import Path
from typing import override

import pytest

from clayline_local import sam_local
from clayline_local.children import child_environment
from clayline_local.errors import LocalCloudError
from clayline_local.hosts import SamHost
from clayline_local.invoke import SAM_ENVIRONMENT
from clayline_local.sam_local import bridge_gateway, relay, sam_template
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, expand

MOTO = "http://127.0.0.1:5000"
SEEN_BY_CONTAINERS = "http://172.17.0.1:40000"
ENVIRONMENT = {
    "AWS_ENDPOINT_URL": MOTO,
    "AWS_S3_ENDPOINT": "127.0.0.1:5000",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_REGION": "eu-central-1",
}


def template() -> dict[str, object]:
    stack = expand(TEMPLATE, LOCAL_PARAMETERS, sqs_endpoint=MOTO)
    replaced = {MOTO: SEEN_BY_CONTAINERS, "127.0.0.1:5000": "172.17.0.1:40000"}
    return sam_template(stack, ENVIRONMENT, replaced=replaced)


def test_a_container_is_told_where_the_cloud_is() -> None:
    stack = expand(TEMPLATE, LOCAL_PARAMETERS, sqs_endpoint=MOTO)
    for name, spec in stack.functions().items():
        properties = template()["Resources"][name]["Properties"]  # type: ignore[index]  # JSON
        variables = properties["Environment"]["Variables"]
        assert variables["AWS_ENDPOINT_URL"] == SEEN_BY_CONTAINERS
        assert variables["AWS_S3_ENDPOINT"] == "172.17.0.1:40000"
        assert not any("127.0.0.1" in value for value in variables.values())
        # Lambda sets these itself, and CloudFormation refuses them in a template.
        assert not {"AWS_ACCESS_KEY_ID", "AWS_REGION"} & set(variables)
        assert set(spec.environment) <= set(variables)
        assert (stack.root / properties["CodeUri"] / "app.py").is_file()
        assert len(properties["Layers"]) == len(spec.layers)


@pytest.mark.skipif(
    not SAM_ENVIRONMENT.is_dir(), reason="needs the sam command line in .venv-sam; `make setup-sam` makes it"
)
def test_sam_finds_the_template_valid(tmp_path: Path) -> None:
    path = tmp_path / "local-invoke.json"
    path.write_text(json.dumps(template()))
    environment = child_environment({"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-central-1"})
    command = [str(SAM_ENVIRONMENT / "bin" / "sam"), "validate", "--lint", "--template", str(path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=280)
    assert answer.returncode == 0, answer.stdout + answer.stderr


class Echo(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body[::-1])

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_the_relay_passes_on_both_ways() -> None:
    # Linux answers on all of 127.0.0.0/8: another address that is this machine's, as Docker's gateway is.
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        with relay("127.0.0.2", f"http://127.0.0.1:{server.server_port}") as url:
            assert url.startswith("http://127.0.0.2:")
            content = bytes(range(256)) * 20_000
            with urllib.request.urlopen(urllib.request.Request(url, data=content), timeout=120) as answer:  # noqa: S310 - our own URL
                assert answer.read() == content[::-1]
        server.shutdown()


def test_an_address_of_another_machine_is_an_error() -> None:
    with (
        pytest.raises(LocalCloudError, match=r"on 192\.0\.2\.1"),
        relay("192.0.2.1", MOTO),
    ):  # a documentation address, RFC 5737
        pytest.fail("it listens on an address of nobody")


@pytest.mark.parametrize(("status", "address"), [(0, "172.17.0.1"), (1, None)])
def test_docker_counts_if_its_daemon_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, address: str | None
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho 172.17.0.1\nexit {status}\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert bridge_gateway() == address


@pytest.mark.parametrize("skip", [True, False])
def test_the_base_image_is_fetched_unless_it_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, skip: bool
) -> None:
    sam = tmp_path / "bin" / "sam"
    sam.parent.mkdir()
    sam.write_text('#!/bin/sh\nprintf \'{"given": "%s"}\' "$*"\n')
    sam.chmod(0o755)
    monkeypatch.setattr(sam_local, "SAM_ENVIRONMENT", tmp_path)
    answer = SamHost(tmp_path / "template.json", tmp_path, skip_pull_image=skip).invoke("PlanFunction", {"Records": []})
    given = answer.reply.payload["given"].split()
    assert given[:3] == ["local", "invoke", "PlanFunction"]
    assert ("--skip-pull-image" in given) is skip


@pytest.mark.parametrize(("given", "skips"), [("SKIP_PULL_IMAGE=1", True), ("SKIP_PULL_IMAGE=0", False)])
def test_make_says_so(given: str, *, skips: bool) -> None:
    command = ["make", "--dry-run", "local-invoke", given]
    said = subprocess.run(command, cwd=TEMPLATE.parent, capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in said.replace("\\\n", "").splitlines() if "clayline_local.local_invoke" in line]
    assert ("--skip-pull-image" in line) is skips


def test_without_docker_there_is_no_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bridge_gateway() is None
