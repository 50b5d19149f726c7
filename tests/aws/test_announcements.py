"""Queues behind a rule of the bus: what is read is answered within its run, what is not is dropped and counted."""

import io
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from aws_lambda_powertools import Logger, Metrics
from tests.aws.functions import deliver, event
from tests.dataset.scenes import MadeUp

from clayline.aws.announcements import Announcements
from clayline.errors import TransientError
from clayline.run.announced import Announced

NUMBERS = itertools.count()
ONE, TWO = MadeUp(number=1), MadeUp(number=2)
FOREIGN = {
    "no JSON": "{",
    "no event": "{}",
    "another's": json.dumps({**json.loads(event(ONE)), "source": "aws.s3"}),
    "another status": event(ONE, status="SceneSeen"),
    "no detail": json.dumps({"source": "clayline", "detail-type": "SceneEmbedded"}),
}


class Heard:
    """A function's handler that keeps what it is asked to answer."""

    def __init__(self, *, fails: bool = False) -> None:
        """One that ``fails`` answers nothing."""
        self._stream = io.StringIO()
        self.logger = Logger(service=f"heard{next(NUMBERS)}", stream=self._stream)  # loggers of a name are one
        self.metrics = Metrics(namespace="Heard", service="heard")
        self.announcements = Announcements(self.logger, self.metrics, read=Announced.parse)
        self.runs: list[str] = []
        self._fails = fails

    def answer(self, event: Announced) -> None:
        self.logger.info("heard")
        self.runs.append(event.run)
        if self._fails:
            raise TransientError("throttled")
        if event.repeated:
            self.announcements.drop("not ours", scene=event.scene)

    def __call__(self, event: Any, context: Any) -> Any:
        return self.announcements.handle(event, context, answer=self.answer)

    def lines(self, level: str) -> list[dict[str, Any]]:
        """Give what was logged so."""
        found = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        return [line for line in found if line["level"] == level]

    def counted(self) -> int:
        """Give how many were counted as unknown."""
        return sum(self.metrics.metric_set.get("UnknownEvent", {"Value": []})["Value"])


@pytest.fixture(autouse=True)
def counted() -> Iterator[None]:
    """The process has one set of metrics, which is to be empty before and after."""
    metrics = Metrics(namespace="Heard", service="heard")
    metrics.clear_metrics()
    yield
    metrics.clear_metrics()


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_every_event_is_answered_and_its_log_lines_have_its_run(heard: Heard) -> None:
    assert deliver(heard, event(ONE), event(TWO)) == []
    assert heard.runs == [ONE.row.run, TWO.row.run]
    assert [line["run"] for line in heard.lines("INFO")] == heard.runs
    assert heard.counted() == 0


@pytest.mark.parametrize("body", FOREIGN.values(), ids=list(FOREIGN))
def test_what_is_no_event_of_a_scene_is_dropped_said_and_counted(heard: Heard, body: str) -> None:
    assert deliver(heard, event(ONE), body, event(TWO)) == []
    assert heard.runs == [ONE.row.run, TWO.row.run]
    [dropped] = heard.lines("WARNING")
    assert dropped["message"] == "unknown event dropped"
    assert dropped["why"].startswith("no event of a scene: ")
    assert "run" not in dropped
    assert heard.counted() == 1


def test_what_an_answer_drops_is_said_within_its_run_and_counted(heard: Heard) -> None:
    assert deliver(heard, event(ONE, repeated=True)) == []
    [dropped] = heard.lines("WARNING")
    assert (dropped["message"], dropped["scene"], dropped["run"]) == ("not ours", "a scene", ONE.row.run)
    assert heard.counted() == 1


def test_what_an_answer_fails_on_is_given_back_and_not_counted_as_unknown() -> None:
    failing = Heard(fails=True)
    assert deliver(failing, event(ONE), "{}", event(TWO), received=9) == [0, 2]
    assert failing.counted() == 1
