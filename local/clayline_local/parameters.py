"""A stack's parameters, checked as CloudFormation checks them.

The local cloud refuses what a deployment would refuse.
"""

import re
from collections.abc import Mapping
from typing import Any

from clayline_local.errors import LocalCloudError

type Value = str | list[str]


def effective(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Value]:
    """Give every parameter's value: a text, or a list of them.

    Raises LocalCloudError for one that is unknown, missing or not allowed.
    """
    if unknown := sorted(set(given) - set(declared)):
        raise LocalCloudError(
            f"the template has no parameter {', '.join(unknown)}; it has {', '.join(sorted(declared))}"
        )
    return {name: _value(name, declaration, given.get(name)) for name, declaration in declared.items()}


def _value(name: str, declaration: Mapping[str, Any], given: str | None) -> Value:
    if given is None and "Default" not in declaration:
        raise LocalCloudError(f"the parameter {name} has no default and was not given")
    text = str(declaration["Default"] if given is None else given)
    _check(name, declaration, text)
    kind = declaration["Type"]
    if kind == "CommaDelimitedList":
        return [entry.strip() for entry in text.split(",")]
    if kind in {"String", "Number"}:
        return text
    raise LocalCloudError(f"the parameter {name} has the type {kind}, which the local cloud does not understand")


def _check(name: str, declaration: Mapping[str, Any], text: str) -> None:
    allowed = [str(value) for value in declaration.get("AllowedValues", [text])]
    if text not in allowed:
        raise LocalCloudError(f"the parameter {name} is {text!r}; allowed are {', '.join(allowed)}")
    if not re.fullmatch(declaration.get("AllowedPattern", ".*"), text, re.DOTALL):
        raise LocalCloudError(f"the parameter {name} is {text!r}, which does not match {declaration['AllowedPattern']}")
    if declaration["Type"] != "Number":
        return
    try:
        number = float(text)
    except ValueError as error:
        raise LocalCloudError(f"the parameter {name} is {text!r}, which is no number") from error
    for limit, words in (("MinValue", "at least"), ("MaxValue", "at most")):
        if limit not in declaration:
            continue
        bound = float(declaration[limit])
        if not (number >= bound if limit == "MinValue" else number <= bound):
            raise LocalCloudError(f"the parameter {name} is {text}, and must be {words} {declaration[limit]}")
