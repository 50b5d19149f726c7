"""What runs a function on an event: AWS's runtime emulator, kept warm, or a container under `sam local invoke`."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from clayline_local.invoke import BUILT_TEMPLATE, Reply, is_built, runtime
from clayline_local.sam_local import bridge_gateway, relay, run_sam, sam_template
from clayline_local.session import Session
from clayline_local.template import TEMPLATE, Stack, expand

_LOG_COMES_IN: Final = 10.0
_END_OF_LOG: Final = "REPORT RequestId"
"""Lambda's last line about an invocation, the emulator's as well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What an invocation gave, and what it said."""

    reply: Reply
    log: Sequence[Mapping[str, Any]]
    """Lines that are JSON objects: log lines and metrics."""


class Host(Protocol):
    """Runs functions."""

    @property
    def description(self) -> str:
        """What this is, for people."""
        ...

    def invoke(self, function: str, event: Mapping[str, Any]) -> Answer:
        """Run a function, named by its logical id. Raises LocalCloudError."""
        ...


@contextmanager
def choose_host(session: Session, folder: Path, *, skip_pull_image: bool = False) -> Iterator[Host]:
    """Give the container host if Docker answers and there is a build to put into it, else the emulator.

    ``folder`` takes logs. With ``skip_pull_image`` containers start from the base image that is here.
    """
    built = BUILT_TEMPLATE.is_file()
    with ExitStack() as stack:
        gateway = bridge_gateway() if built else None
        if gateway is None:
            yield EmulatorHost(session, folder, stack, built=built)
        else:
            yield stack.enter_context(_sam_host(session, folder, gateway, skip_pull_image=skip_pull_image))


def _stack(session: Session, *, built: bool) -> Stack:
    return expand(BUILT_TEMPLATE if built else TEMPLATE, session.parameters, sqs_endpoint=session.url)


def _what_was_built() -> str:
    return "what sam build made" if is_built() else "what sam build made before the sources were changed"


class EmulatorHost:
    """The emulator, one for each function that is asked for; they end with ``stack``."""

    def __init__(self, session: Session, folder: Path, stack: ExitStack, *, built: bool) -> None:
        self._functions = _stack(session, built=built).functions() if built else session.stack.functions()
        self._environment = session.environment
        self._folder = folder
        self._stack = stack
        self._built = built
        self._calls: dict[str, Any] = {}

    @property
    def description(self) -> str:
        """What this is, for people."""
        return f"under AWS's runtime emulator, {_what_was_built() if self._built else 'from the sources'}"

    def invoke(self, function: str, event: Mapping[str, Any]) -> Answer:
        """Run a function; its runtime stays up."""
        log = self._folder / f"{function}.log"
        if function not in self._calls:
            stream = self._stack.enter_context(log.open("wb"))
            spec = self._functions[function]
            self._calls[function] = self._stack.enter_context(
                runtime(spec, environment=self._environment, isolated=self._built, log=stream)
            )
        begun = log.stat().st_size
        reply = self._calls[function](event)
        return Answer(reply=reply, log=json_lines(_complete(log, begun)))


def _complete(log: Path, begun: int) -> str:
    """Read what an invocation said. The reply can overtake its log, which goes through the emulator."""
    deadline = time.monotonic() + _LOG_COMES_IN
    while True:
        text = log.read_bytes()[begun:].decode(errors="replace")
        if _END_OF_LOG in text or time.monotonic() > deadline:
            return text
        time.sleep(0.02)


def json_lines(text: str) -> list[dict[str, Any]]:
    """Give the lines that are JSON objects."""
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):  # the runtime's own lines, and tracebacks, are text
            content = json.loads(line)
            if isinstance(content, dict):
                found.append(content)
    return found


@contextmanager
def _sam_host(session: Session, folder: Path, gateway: str, *, skip_pull_image: bool) -> Iterator["SamHost"]:
    """Relay the cloud to where containers reach it, and write the template that tells them so."""
    with relay(gateway, session.url) as url, relay(gateway, session.endpoint.url) as endpoint_url:
        replaced = {session.url: url, session.url.removeprefix("http://"): url.removeprefix("http://")}
        environment = {**session.environment, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": endpoint_url}
        template = sam_template(_stack(session, built=True), environment, replaced=replaced)
        # Beside the build, since its paths are relative.
        path = BUILT_TEMPLATE.with_name("local-invoke.json")
        path.write_text(json.dumps(template, indent=1), encoding="utf-8")
        try:
            yield SamHost(path, folder, skip_pull_image=skip_pull_image)
        finally:
            path.unlink()


class SamHost:
    """`sam local invoke`: a container an event."""

    def __init__(self, template: Path, folder: Path, *, skip_pull_image: bool) -> None:
        self._template = template
        self._folder = folder
        self._skip_pull_image = skip_pull_image

    @property
    def description(self) -> str:
        """What this is, for people."""
        return f"under sam local invoke, in Docker, {_what_was_built()}"

    def invoke(self, function: str, event: Mapping[str, Any]) -> Answer:
        """Run a function in a container of its own."""
        path = self._folder / "event.json"
        path.write_text(json.dumps(event), encoding="utf-8")
        out, said = run_sam(self._template, function, path, skip_pull_image=self._skip_pull_image)
        # What the function prints goes to standard error; its reply is the last line of standard output.
        payload = json.loads(out.strip().splitlines()[-1])
        failed = isinstance(payload, dict) and "errorType" in payload
        return Answer(reply=Reply(payload=payload, failed=failed), log=json_lines(said))
