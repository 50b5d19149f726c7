"""moto's own server as a child's program.

``moto_program FD`` takes a port that the system chooses as it binds, and tells it through FD.

moto_server takes a number instead, and between finding a free one and binding it another program may do so, and answer
in its place.
"""

import os
import sys
import threading

from moto.core.config import default_user_config
from moto.server import ThreadedMotoServer


def main() -> None:
    """Serve until the process is ended."""
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
