"""moto's own server as a child's program.

``moto_program FD`` takes a port that the system chooses as it binds, and tells it through FD.

moto_server takes a number instead, and between finding a free one and binding it another program may do so, and answer
in its place.
"""

import os
import sys
import threading

from moto.core.config import default_user_config
from moto.dynamodb.responses import DynamoHandler
from moto.server import ThreadedMotoServer


def isolate_transactions() -> None:
    """Serve DynamoDB's requests one after the other.

    A transaction of moto's that fails puts the whole table back as it was when it began. What others had written
    meanwhile was lost, or half of it: a batch that counted as ended, and had not.
    """
    lock, call_action = threading.RLock(), DynamoHandler.call_action

    def alone(self: DynamoHandler) -> object:
        with lock:
            return call_action(self)

    DynamoHandler.call_action = alone  # type: ignore[method-assign]


def main() -> None:
    """Serve until the process is ended."""
    isolate_transactions()
    default_user_config["stepfunctions"] = {"execute_state_machine": True}  # else it only remembers executions
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port = str(server.get_host_and_port()[1])
    os.environ["MOTO_PORT"] = port  # where its state machines' tasks find the other services
    with os.fdopen(int(sys.argv[1]), "w") as told:
        told.write(port)
    threading.Event().wait()


if __name__ == "__main__":
    main()
