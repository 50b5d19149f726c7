"""`make audit` over a service on 127.0.0.1 that answers as OSV does: what is known is told, silence is no answer."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import pytest
from tests.architecture.sources import ROOT

PROGRAM = ROOT / ".venv-audit/bin/pip-audit"
pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="no .venv-audit: make setup-audit")
type Answer = Callable[[str, str], dict[str, Any] | None]
"""Gives OSV's answer about a version; None: the service fails."""


@contextmanager
def osv(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert asked["package"]["ecosystem"] == "PyPI"
            found = answer(asked["package"]["name"], asked["version"])
            body = json.dumps(found).encode()
            self.send_response(500 if found is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *said: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def audit() -> Any:
    spec = spec_from_file_location("audit", ROOT / "requirements/audit.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_lock_is_asked_about(audit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Each pin of the container's, and a version of which something is known."""
    lock, asked = ROOT / "requirements/server.txt", dict[str, str]()
    bad = {
        "id": "PYSEC-2026-1",
        "affected": [
            {
                "package": {"name": "numpy", "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}],
            }
        ],
    }

    def answer(name: str, version: str) -> dict[str, Any]:
        asked[name] = version
        return {"vulns": [bad]} if name == "numpy" else {}

    with osv(answer) as url:
        assert audit.audit([lock], url=url) == 1
    pins = {pin[0].lower().replace("_", "-"): pin[1] for pin in audit._PIN.findall(lock.read_text(encoding="utf-8"))}
    assert asked == pins
    first, last = capsys.readouterr().out.splitlines()
    assert first == f"numpy {pins['numpy']} (requirements/server.txt): PYSEC-2026-1, fixed in 99.1"
    assert last.startswith(f"audit: 1 known vulnerabilities in {len(pins)} versions of 1 lock files, asked at {url}")
    assert {path.name for path in audit.locks()} >= {"dev.txt", "server-gpu.txt", "audit.txt", "expat.txt"}


def test_where_nothing_is_known_it_says_of_how_many(audit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with osv(lambda *_: {}) as url:
        assert audit.audit([ROOT / "layers/table/requirements.txt"], url=url) == 0
    assert capsys.readouterr().out.startswith("audit: 0 known vulnerabilities in ")


@pytest.mark.parametrize("way", ["fails", "is not there"])
def test_a_service_that_does_not_answer_leaves_nothing_known(
    audit: Any, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    with osv(lambda *_: None) as url:
        if way == "fails":
            assert audit.audit([ROOT / "layers/table/requirements.txt"], url=url) == 2
    if way == "is not there":
        assert audit.audit([ROOT / "layers/table/requirements.txt"], url=url) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"audit: not every version could be asked for at {url}, so nothing is known")
