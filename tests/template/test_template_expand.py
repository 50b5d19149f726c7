"""The expansion against what CloudFormation's reference says of each intrinsic.

Every expected value is written by hand.
"""

from pathlib import Path
from typing import Any

import pytest

from clayline_local.errors import LocalCloudError
from clayline_local.template import expand

HEAD = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Name: {Type: String, Default: x}
  Size: {Type: Number, Default: 3, MinValue: 1}
  Names: {Type: CommaDelimitedList, Default: "a, b"}
Mappings:
  Zones:
    eu-central-1: {Near: [z1, z2]}
Conditions:
  IsX: !Equals [!Ref Name, x]
  IsY: !Not [!Condition IsX]
  Both: !And [!Condition IsX, !Equals [!Ref Size, 3]]
  Either: !Or [!Condition IsY, !Equals [1, 2]]
Resources:
  Queue: {Type: AWS::SQS::Queue}
  Hidden: {Type: AWS::SQS::Queue, Condition: IsY}
  Topic:
    Type: AWS::SNS::Topic
    Properties:
      Tags:
        - {Key: probe, Value: VALUE}
"""


def probe(folder: Path, value: str, **parameters: str) -> Any:
    path = folder / "template.yaml"
    path.write_text(HEAD.replace("VALUE", value), encoding="utf-8")
    tag = expand(path, parameters, sqs_endpoint="http://127.0.0.1:1/").resources["Topic"].properties["Tags"][0]
    return tag.get("Value", "gone")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("!Ref Name", "x"),
        ("!Ref Size", "3"),
        ("!Ref Names", ["a", "b"]),
        ("!Ref Queue", "http://127.0.0.1:1/123456789012/clayline-Queue"),
        ("!GetAtt Queue.Arn", "arn:aws:sqs:eu-central-1:123456789012:clayline-Queue"),
        ("{'Fn::GetAtt': [Queue, QueueName]}", "clayline-Queue"),
        ("!Ref AWS::Region", "eu-central-1"),
        ("!Ref AWS::NoValue", "gone"),
        ("!Sub '${AWS::Partition}-${Name}-${!Name}-${Queue.QueueName}'", "aws-x-${Name}-clayline-Queue"),
        ("!Sub ['${a}${Name}', {a: !Ref Size}]", "3x"),
        ("!Join ['/', [p, !Ref Name, q]]", "p/x/q"),
        ("!Join ['+', !Ref Names]", "a+b"),
        ("!Split ['|', !Sub 'l|${Name}|']", ["l", "x", ""]),
        ("!Select [1, !Ref Names]", "b"),
        ("!If [IsX, yes, no]", "yes"),
        ("!If [IsY, yes, no]", "no"),
        ("!If [Both, both, no]", "both"),
        ("!If [Either, either, neither]", "neither"),
        ("!If [IsY, y, !Ref AWS::NoValue]", "gone"),
        ("[one, !Ref AWS::NoValue]", ["one"]),
        ("!FindInMap [Zones, !Ref AWS::Region, Near]", ["z1", "z2"]),
    ],
)
def test_intrinsics(tmp_path: Path, value: str, expected: object) -> None:
    found = probe(tmp_path, value)
    # YAML reads yes and no as true and false; CloudFormation gets them so too.
    assert found == ({"yes": True, "no": False}.get(expected, expected) if isinstance(expected, str) else expected)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("!GetAZs ''", "Fn::GetAZs"),
        ("!Base64 text", "Fn::Base64"),
        ("!ImportValue other", "Fn::ImportValue"),
        ("{'Fn::ForEach::Loop': [a, b]}", "Fn::ForEach::Loop"),
        ("{'Fn::Sub': x, 'Fn::Join': y}", "Fn::Sub"),
        ("!Ref Nobody", "Nobody"),
        ("!Ref Hidden", "Hidden"),
        ("!GetAtt Queue.Colour", "Colour"),
        ("!If [Nothing, a, b]", "Nothing"),
        ("!Select [2, !Ref Names]", "no entry 2"),
        ("!FindInMap [Zones, mars, Near]", "mars"),
        ("!Sub '${Names}'", "no text"),
    ],
)
def test_what_is_not_understood_is_an_error(tmp_path: Path, value: str, message: str) -> None:
    with pytest.raises(LocalCloudError, match=message):
        probe(tmp_path, value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"Nobody": "1"}, "Nobody"), ({"Size": "0"}, "is 0, and must be at least 1"), ({"Size": "big"}, "no number")],
)
def test_parameters_are_checked(tmp_path: Path, parameters: dict[str, str], message: str) -> None:
    with pytest.raises(LocalCloudError, match=message):
        probe(tmp_path, "x", **parameters)


def test_a_resource_with_a_fixed_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text("Resources: {Q: {Type: 'AWS::SQS::Queue', Properties: {QueueName: mine}}}", encoding="utf-8")
    with pytest.raises(LocalCloudError, match="fixed QueueName"):
        expand(path, {})


def test_conditions_choose_resources(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(HEAD, encoding="utf-8")
    assert set(expand(path, {}).resources) == {"Queue", "Topic"}
    assert set(expand(path, {"Name": "y"}).resources) == {"Queue", "Topic", "Hidden"}
