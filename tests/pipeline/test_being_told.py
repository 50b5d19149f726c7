"""docs/how-to/be-told.md, run as it stands there: a watch, a scene in the local cloud, what is told of it."""

import json
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tests.conftest import ROOT, SAMPLE

from clayline_cli.program import main

pytestmark = pytest.mark.pipeline
PAGE = (ROOT / "docs" / "how-to" / "be-told.md").read_text(encoding="utf-8")
HERE, THERE = PAGE.split("## On AWS")
BLOCK = re.compile(r"^```(python)?\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
CLAYLINE, HOSTED = ".venv/bin/clayline ", ".venv/bin/clayline local-cloud "
PROGRAM = f'#!/bin/sh\nexec "{sys.executable}" -c "from clayline_cli.program import command; command()" "$@"\n'
YOURS = "/home/you/clayline/"
PATIENCE = 120
"""Seconds: what hangs is what fails here, not what is slow."""


@dataclass
class Ran:
    """What the page's commands left and said."""

    home: Path
    hosted: list[str]
    """What the local cloud printed, in the order of the blocks that show it."""
    said: list[str]
    """What the Python blocks printed."""
    tested: str
    """What `watch test` warned of."""


def blocks(part: str) -> list[tuple[str, str]]:
    return [(language, text) for language, text in BLOCK.findall(part)]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """A checkout as far as the page uses it, in which all of its local blocks were run in their order."""
    home = tmp_path_factory.mktemp("told")
    shutil.copytree(SAMPLE, home / "samples" / SAMPLE.name)
    program = home / CLAYLINE.strip()
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM)
    program.chmod(0o755)
    found = Ran(home=home, hosted=[], said=[], tested="")
    before = Path.cwd()
    cloud: subprocess.Popen[str] | None = None
    os.chdir(home)
    try:
        for language, text in blocks(HERE):
            if language:
                (home / "program.py").write_text(text, encoding="utf-8")
                done = subprocess.run([sys.executable, "program.py"], check=True, capture_output=True, text=True)
                found.said.append(done.stdout)
            elif text.startswith(HOSTED):
                cloud = hosted(text)
            elif "SceneEmbedded: " in text:
                assert cloud
                assert cloud.stdout
                found.hosted.append("".join(cloud.stdout.readline() for _ in text.splitlines()))
            elif text.startswith((CLAYLINE, "mkdir ", "(. ")):
                if cloud and " watch remove " in text:  # "Ctrl-C ends it", says the page before
                    cloud.send_signal(signal.SIGINT)
                    cloud.communicate(timeout=PATIENCE)
                found.tested += run(text)
        yield found
    finally:
        os.chdir(before)
        if cloud and cloud.poll() is None:
            cloud.terminate()
            cloud.communicate(timeout=PATIENCE)


def hosted(command: str) -> "subprocess.Popen[str]":
    """Start the local cloud, and wait until it is up."""
    asked = shlex.split(command)
    cloud = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert cloud.stderr
    for line in cloud.stderr:
        if "the local cloud is up" in line:
            return cloud
    pytest.fail("it never came up")


def run(block: str) -> str:
    """Run a block; gives the warnings of a `watch test`."""
    done = subprocess.run(["/bin/sh", "-ec", block], check=True, capture_output=True, text=True)
    return done.stderr if " watch test " in block else ""


def test_the_cloud_says_what_the_page_shows(ran: Ran) -> None:
    expected = [text for language, text in blocks(HERE) if not language and "SceneEmbedded: " in text]
    assert len(expected) == 2
    runs = [re.findall(r"[0-9a-f]{32}", text)[0] for text in ran.hosted]
    assert runs[0] == runs[1]
    for text, printed in zip(expected, ran.hosted, strict=True):
        there = re.sub(r"[0-9a-f]{32}", runs[0], text.replace(YOURS, f"{ran.home}/"))
        assert printed == there


def test_the_receipt_has_what_the_page_prints(ran: Ran) -> None:
    found = blocks(HERE)
    [at] = [number for number, (language, _) in enumerate(found) if language]
    assert ran.said == [found[at + 1][1]]


def test_what_was_said_stays_in_the_folder(ran: Ran) -> None:
    versions = [json.loads(path.read_text()) for path in sorted((ran.home / "cloud/watches/shore").glob("v*.json"))]
    assert [each["format"] for each in versions] == ["clayline-watch/1", "clayline-watch/1", "clayline-watch-removed/1"]
    assert [each.get("threshold") for each in versions] == [0.45, 0.52, None]
    assert "WARNING: the proposed threshold stands on one scene, and should on 20 or more" in ran.tested


def test_the_commands_for_aws_keep_the_watch_in_a_bucket_and_the_rule_takes_its_event(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(
            Bucket="my-embeddings", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )  # fmt: skip
        topic = boto3.client("sns").create_topic(Name="shores")["TopicArn"]
        for language, text in blocks(THERE):
            if language:
                (ran.home / "rule.py").write_text(text, encoding="utf-8")
                runpy.run_path(str(ran.home / "rule.py"))
            else:
                for line in text.replace("\\\n", "").splitlines():
                    assert main(shlex.split(line.removeprefix(CLAYLINE))) == 0, line
        kept: Any = json.loads(client.get_object(Bucket="my-embeddings", Key="watches/shore/v001.json")["Body"].read())
        events = boto3.client("events")
        pattern = events.describe_rule(Name="shore")["EventPattern"]
        [target] = events.list_targets_by_rule(Rule="shore")["Targets"]
    assert kept["probe"] == json.loads((ran.home / "cloud/watches/shore/v001.json").read_text())["probe"]
    assert target["Arn"] == topic
    assert json.loads(pattern)["detail-type"] == ["WatchMatched"]
