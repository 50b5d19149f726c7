"""The local cloud without workers.

The stack, the endpoint and the objects that ``events/`` point at, for functions run by hand.

``make local-cloud`` keeps it up until it is interrupted and prints what a shell needs to reach it.
"""

import argparse
import signal
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from clayline.errors import ClaylineError
from clayline.model.statistics import STATISTICS_FILE
from clayline_local.emulation import Emulation
from clayline_local.repository import ROOT, SAMPLE, STARTER
from clayline_local.session import Session

EVENTS: Final = ROOT / "events"
SCENE: Final = SAMPLE
OBJECTS: Final = EVENTS / "objects"
"""What lies in the scenes bucket beside the bundled scene: each file under its own path as key."""
LOGS: Final = ROOT / "out" / "local-cloud"
KEPT: Final = EVENTS / "kept"
"""What lies in the embeddings bucket before an event that says so: each file under its own path as key."""
VECTOR_BUCKET: Final = "clayline-vectors"
"""A stack's user makes it; where nothing is told of one the stack has no function for it."""
_ANSWERS: Final = uuid.UUID("d5a0a3c2-6c1c-5f0e-9c52-0a4f2f7c1b11")


def name_answer(inference_id: str) -> str:
    """Name an answer after its request, so that the notifications in ``events/`` point at what the endpoint will have
    written.
    """
    return str(uuid.uuid5(_ANSWERS, inference_id))


@contextmanager
def local_cloud(*, logs: Path) -> Iterator[Session]:
    """Keep the seeded cloud up. Raises LocalCloudError."""
    # No deadline passes but those that an event says of.
    parameters = {"MaxAttempts": "1", "PatienceSeconds": "86400", "VectorBucket": VECTOR_BUCKET}
    emulation = Emulation(name_output=name_answer)
    with Session(logs=logs, workers=False, emulation=emulation, parameters=parameters) as session:
        seed(session)
        yield session


def seed(session: Session) -> None:
    """Put what ``events/`` point at into the scenes bucket. The queue forgets that it landed: the events say so.

    Beside it a vector bucket, and what the model states of its vectors, which a session itself has no need of.
    """
    for file in (*sorted(SCENE.parent.glob("*.tif")), SCENE):
        session.s3.upload_file(str(file), session.scenes_bucket, f"{SCENE.stem}/{file.name}")
    for file in sorted(path for path in OBJECTS.rglob("*") if path.is_file()):
        session.s3.put_object(
            Bucket=session.scenes_bucket, Key=file.relative_to(OBJECTS).as_posix(), Body=file.read_bytes()
        )
    models, key = session.stack.outputs["ModelBucket"], f"models/{session.manifest.folder}/{STATISTICS_FILE}"
    session.s3.upload_file(str(STARTER / STATISTICS_FILE), models, key)
    session.client("s3vectors").create_vector_bucket(vectorBucketName=VECTOR_BUCKET)
    session.sqs.purge_queue(QueueUrl=session.stack.resources["SceneQueue"].physical.ref)


def exports(environment: Mapping[str, str]) -> str:
    """Write variables as a shell takes them."""
    return "\n".join(f"export {name}={value}" for name, value in sorted(environment.items()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep the cloud up until SIGINT or SIGTERM; 2 if it does not come up."""
    parser = argparse.ArgumentParser(
        description="The local cloud without workers, with the objects that events/ point at."
    )
    parser.add_argument("--logs", type=Path, default=LOGS, help="folder for logs")
    options = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        with local_cloud(logs=options.logs) as session:
            print(exports(session.environment))
            print(
                "# With these, in another shell: `aws s3 ls`, and any function on any event, in the order of"
                " events/README.md:"
            )
            print(
                "#   .venv/bin/python -m clayline_local.invoke --function PlanFunction --event events/plan-scene.json"
            )
            print(f"# Logs are in {options.logs}. Ctrl-C ends it.", flush=True)
            ended.wait()
    except ClaylineError as error:
        print(f"local-cloud: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
