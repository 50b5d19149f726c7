"""Start the server: listen, load and check the model folders, warm up, answer until SIGTERM."""

import argparse
import logging
import os
import signal
import threading
from pathlib import Path
from types import FrameType

from clayline.errors import ModelError
from server.app import EndpointApp
from server.folders import load_folders
from server.listener import MEBIBYTE, Listener
from server.log_lines import log_json_lines

logger = logging.getLogger("clayline.server")


def arguments() -> argparse.Namespace:
    """Read flags; each falls back to an environment variable, because SageMaker gives a container only those."""
    environ = os.environ
    parser = argparse.ArgumentParser(prog="serve", description="Embeds chips by the contract of docs/wire.md.")
    parser.add_argument("--host", default=environ.get("CLAYLINE_HOST", "127.0.0.1"), help="[CLAYLINE_HOST, 127.0.0.1]")
    parser.add_argument(
        "--port", type=int, default=environ.get("CLAYLINE_PORT", "8080"), help="0: any free one [CLAYLINE_PORT, 8080]"
    )
    parser.add_argument(
        "--models",
        type=Path,
        default=environ.get("CLAYLINE_MODELS", "/opt/ml/model"),
        help="directory of model folders [CLAYLINE_MODELS, /opt/ml/model]",
    )
    parser.add_argument(
        "--model-folder",
        default=environ.get("CLAYLINE_MODEL_FOLDER"),
        help="the folder without which it must not start; others are served as well [CLAYLINE_MODEL_FOLDER, none]",
    )
    parser.add_argument(
        "--micro-batch",
        type=int,
        default=environ.get("CLAYLINE_MICRO_BATCH"),
        help=(
            "chips in one run of the graph [CLAYLINE_MICRO_BATCH, what the folder's manifest advises for the device,"
            " else 16]"
        ),
    )
    parser.add_argument(
        "--concurrency",
        type=int,
        default=environ.get("CLAYLINE_CONCURRENCY"),
        help="requests that compute at once [CLAYLINE_CONCURRENCY, 2 on CUDA, 1 on the CPU]",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=environ.get("CLAYLINE_HTTP_THREADS", "8"),
        help="HTTP threads, more than MaxConcurrentInvocationsPerInstance [CLAYLINE_HTTP_THREADS, 8]",
    )
    parser.add_argument(
        "--cpu-threads",
        type=int,
        default=environ.get("CLAYLINE_CPU_THREADS", str(os.process_cpu_count() or 1)),
        help="ONNX Runtime's threads in one graph [CLAYLINE_CPU_THREADS, all cores]",
    )
    parser.add_argument(
        "--body-limit",
        type=int,
        default=environ.get("CLAYLINE_BODY_LIMIT", str(10**9)),
        help="largest request in bytes [CLAYLINE_BODY_LIMIT, 1 GB]",
    )
    parser.add_argument(
        "--body-memory",
        type=int,
        default=environ.get("CLAYLINE_BODY_MEMORY", str(16 * MEBIBYTE)),
        help=(
            "largest request in bytes that is kept in memory and not in a temporary file [CLAYLINE_BODY_MEMORY, 16 MiB]"
        ),
    )
    parser.add_argument(
        "--connections",
        type=int,
        default=environ.get("CLAYLINE_CONNECTIONS", "64"),
        help="HTTP connections at once, further ones wait [CLAYLINE_CONNECTIONS, 64]",
    )
    parser.add_argument(
        "--grace",
        type=float,
        default=environ.get("CLAYLINE_GRACE", "25"),
        help="seconds to finish in after SIGTERM [CLAYLINE_GRACE, 25]",
    )
    parser.add_argument(
        "--log-level", default=environ.get("CLAYLINE_LOG_LEVEL", "INFO"), help="[CLAYLINE_LOG_LEVEL, INFO]"
    )
    options = parser.parse_args()
    for name in ("micro_batch", "concurrency", "threads", "cpu_threads", "body_limit", "body_memory", "connections"):
        if (value := getattr(options, name)) is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    return options


def main() -> int:
    """Run the server; the exit status is 0 after SIGTERM with everything finished, 1 otherwise."""
    options = arguments()
    log_json_lines(options.log_level)
    failed = threading.Event()

    def give_up() -> None:
        failed.set()
        listener.stop()

    app = EndpointApp(micro_batch=options.micro_batch, concurrency=options.concurrency, give_up=give_up)
    listener = Listener(
        app,
        host=options.host,
        port=options.port,
        threads=options.threads,
        body_limit=options.body_limit,
        body_memory=options.body_memory,
        connections=options.connections,
    )
    logger.info("listening", extra={"host": options.host, "port": listener.port})

    def stop(_signal: int, _frame: FrameType | None) -> None:
        listener.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)

    def load() -> None:
        # Beside the listener: /ping has to answer 503, not to refuse the connection, while a large model is read.
        try:
            folders = load_folders(
                options.models, threads=options.cpu_threads, required=options.model_folder, warm_up=app.warm_up
            )
        except Exception as error:
            logger.critical("refusing to start: %s", error, exc_info=not isinstance(error, ModelError))
            give_up()
        else:
            for folder in sorted({loaded.folder for loaded in folders.all() if loaded.untrained}):
                logger.warning("untrained weights: embeddings mean nothing", extra={"folder": folder})
            app.ready(folders)
            logger.info(
                "ready",
                extra={
                    "tokens": {loaded.entry.token: loaded.chain.providers for loaded in folders.all()},
                    "micro_batch": {loaded.entry.token: app.micro_batch(loaded) for loaded in folders.all()},
                    "concurrency": app.turns(folders).count,
                    "untrained": any(loaded.untrained for loaded in folders.all()),
                },
            )

    threading.Thread(target=load, name="load", daemon=True).start()
    finished = listener.run(grace=options.grace)
    logger.info("stopped", extra={"finished": finished})
    return 0 if finished and not failed.is_set() else 1


if __name__ == "__main__":
    exit_status = main()
    logging.shutdown()
    # Not sys.exit: where the grace ran out, or a model was still loading, a thread is inside ONNX Runtime, and Python's
    # end aborts on it.
    os._exit(exit_status)
