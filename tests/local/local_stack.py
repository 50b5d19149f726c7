"""The stack in one moto_server, for tests to push at from outside."""

from dataclasses import dataclass, field
from typing import Any

from clayline_local.moto_process import MotoServer
from clayline_local.template import Stack


@dataclass(frozen=True)
class LocalCloud:
    server: MotoServer
    stack: Stack
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)

    def client(self, service: str) -> Any:
        """Give a client, the same each time: making one takes longer than most calls."""
        if service not in self._clients:
            self._clients[service] = self.server.client(service)
        return self._clients[service]

    def url(self, queue: str) -> str:
        return self.stack.resources[queue].physical.ref

    def receive(self, queue: str, *, wait_seconds: int = 5, most: int = 1) -> list[dict[str, Any]]:
        """Receive and delete."""
        sqs = self.client("sqs")
        answer = sqs.receive_message(QueueUrl=self.url(queue), WaitTimeSeconds=wait_seconds, MaxNumberOfMessages=most)
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=self.url(queue), ReceiptHandle=message["ReceiptHandle"])
        return messages
