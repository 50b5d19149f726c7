"""The model container as the emulator of the endpoint reaches it: by HTTP, at an address that changes when it is
started again.
"""

import http.client
import threading
import urllib.parse
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from clayline.errors import ClaylineError

MAX_QUOTED: Final = 1000
"""Characters of the container's error that the notification quotes."""


class FailureError(ClaylineError):
    """The request will not get an output; ``body`` goes to the failure path."""

    def __init__(self, reason: str, body: bytes = b"", content_type: str = "text/plain") -> None:
        super().__init__(reason)
        self.body = body or reason.encode()
        self.content_type = content_type


class NoContainerError(ClaylineError):
    """Nobody listens where the container should: the request was not begun, and waits for the next one."""


class Container:
    """Where requests are computed. Threads share it.

    One that is ``supervised`` is started again when it ends: who finds nobody there waits for that, as SageMaker keeps
    requests while no instance is in service. What it computed as it ended has failed.
    """

    def __init__(self, url: str, *, supervised: bool) -> None:
        """Take ``http://HOST:PORT``."""
        self.url = url
        self._supervised = supervised
        self._there = threading.Event()
        self._there.set()
        self.found_gone = threading.Event()
        """Set while nothing is handed out."""
        self._changing = threading.Lock()

    def gone(self, url: str) -> None:
        """Hand nothing more to the container at ``url``, if that is still the one."""
        with self._changing:
            if url == self.url:
                self._there.clear()
                self.found_gone.set()

    def back(self, url: str) -> None:
        """Hand requests to a container that was started at ``url``."""
        with self._changing:
            self.url = url
            self.found_gone.clear()
            self._there.set()

    def wait(self) -> None:
        """Wait until there is one."""
        self._there.wait()

    def answer(self, body: bytes, headers: Mapping[str, str], *, seconds: float) -> tuple[str, bytes]:
        """POST a request to /invocations; gives the answer's content type and body.

        Raises FailureError, and NoContainerError where one is supervised and nobody listens.
        """
        url = self.url
        address = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=seconds)
        try:
            connection.request("POST", "/invocations", body, dict(headers))
            response = connection.getresponse()
            answer = response.read()
        except TimeoutError as error:
            raise FailureError(f"The model container did not answer within {seconds} seconds.") from error
        except (OSError, http.client.HTTPException) as error:
            if self._supervised and isinstance(error, ConnectionRefusedError):
                self.gone(url)
                raise NoContainerError(f"nobody listens at {url}") from error
            raise FailureError(f"The connection to the model container failed: {error!r}") from error
        finally:
            connection.close()
        content_type = response.getheader("Content-Type", "application/octet-stream")
        if response.status != HTTPStatus.OK:
            whose = "client" if response.status < HTTPStatus.INTERNAL_SERVER_ERROR else "server"
            quoted = answer[:MAX_QUOTED].decode(errors="replace")
            reason = f'Received {whose} error ({response.status}) from model with message "{quoted}".'
            raise FailureError(reason, answer, content_type)
        if response.getheader("Content-Length") is None:
            raise FailureError("The model container answered without Content-Length.")
        return content_type, answer
