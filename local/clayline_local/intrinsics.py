"""CloudFormation's intrinsic functions, resolved to plain values.

One that is not in the tables below is an error, never passed through.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from clayline_local.errors import LocalCloudError

_PLACEHOLDER: Final = re.compile(r"\$\{(!?)([^}]+)\}")


class NoValue:
    """``AWS::NoValue``: the property or list entry that holds it goes away."""


NO_VALUE: Final = NoValue()


class Intrinsics:
    """Resolves every intrinsic of a template, given what Ref and GetAtt mean.

    ``values`` are parameters and pseudo parameters; ``ref`` and ``get_att`` answer for resources and raise
    LocalCloudError for unknown ones.
    """

    def __init__(
        self,
        *,
        values: Mapping[str, Any],
        mappings: Mapping[str, Any],
        conditions: Mapping[str, Any],
        ref: Callable[[str], str],
        get_att: Callable[[str, str], str],
    ) -> None:
        self._values = values
        self._mappings = mappings
        self._conditions = conditions
        self._decided: dict[str, bool] = {}
        self._ref = ref
        self._get_att = get_att
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._resolve_ref,
            "Fn::GetAtt": self._resolve_get_att,
            "Fn::Sub": self._resolve_sub,
            "Fn::Join": self._resolve_join,
            "Fn::Split": self._resolve_split,
            "Fn::Select": self._resolve_select,
            "Fn::If": self._resolve_if,
            "Fn::FindInMap": self._resolve_find_in_map,
        }

    def resolve(self, node: object) -> Any:  # noqa: ANN401 -- a template's value may be anything that JSON may be
        """Give ``node`` with all intrinsics replaced. Raises LocalCloudError for one that is not understood."""
        if isinstance(node, list):
            return [value for value in map(self.resolve, node) if value is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            name, argument = next(iter(node.items()))
            if name in self._functions:
                return self._functions[name](argument)
        for name in node:
            if str(name).startswith("Fn::") or name == "Ref":
                raise LocalCloudError(
                    f"the intrinsic {name} in {node!r} is not understood by the local cloud: add it to intrinsics.py"
                )
        resolved = {name: self.resolve(value) for name, value in node.items()}
        return {name: value for name, value in resolved.items() if value is not NO_VALUE}

    def condition(self, name: str) -> bool:
        """Say whether the condition ``name`` of the template's Conditions holds.

        Raises LocalCloudError if there is none.
        """
        if name not in self._decided:
            if name not in self._conditions:
                raise LocalCloudError(f"the template has no condition {name}")
            self._decided[name] = self.decide(self._conditions[name])
        return self._decided[name]

    def decide(self, node: object) -> bool:
        """Evaluate a condition function: And, Or, Not, Equals, Condition. Raises LocalCloudError for any other."""
        if not isinstance(node, dict) or len(node) != 1:
            raise LocalCloudError(f"{node!r} is no condition function")
        name, argument = next(iter(node.items()))
        if name == "Condition":
            return self.condition(argument)
        if name == "Fn::Equals":
            left, right = (self.resolve(side) for side in argument)
            return str(left) == str(right)
        if name == "Fn::Not":
            (inner,) = argument
            return not self.decide(inner)
        if name == "Fn::And":
            return all(self.decide(inner) for inner in argument)
        if name == "Fn::Or":
            return any(self.decide(inner) for inner in argument)
        raise LocalCloudError(
            f"the condition function {name} is not understood by the local cloud: add it to intrinsics.py"
        )

    def _resolve_ref(self, name: str) -> Any:  # noqa: ANN401 -- a parameter is a text or a list
        return self._values[name] if name in self._values else self._ref(name)

    def _resolve_get_att(self, argument: str | list[str]) -> str:
        name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        return self._get_att(name, attribute)

    def _resolve_sub(self, argument: str | list[Any]) -> str:
        text, given = (argument, {}) if isinstance(argument, str) else (argument[0], self.resolve(argument[1]))

        def replace(found: re.Match[str]) -> str:
            literal, name = found[1], found[2].strip()
            if literal:
                return f"${{{name}}}"
            if name in given:
                return str(given[name])
            value = self._resolve_get_att(name) if "." in name else self._resolve_ref(name)
            if not isinstance(value, str):
                raise LocalCloudError(f"Fn::Sub of {text!r}: {name} is no text but {value!r}")
            return value

        return _PLACEHOLDER.sub(replace, text)

    def _resolve_join(self, argument: list[Any]) -> str:
        delimiter, values = argument
        return str(delimiter).join(str(value) for value in self.resolve(values))

    def _resolve_split(self, argument: list[Any]) -> list[str]:
        delimiter, text = argument
        return str(self.resolve(text)).split(delimiter)

    def _resolve_select(self, argument: list[Any]) -> Any:  # noqa: ANN401 -- an entry of any list
        position, values = (self.resolve(part) for part in argument)
        try:
            return values[int(position)]
        except IndexError as error:
            raise LocalCloudError(f"Fn::Select: no entry {position} in {values!r}") from error

    def _resolve_if(self, argument: list[Any]) -> Any:  # noqa: ANN401 -- either branch may be anything
        name, then, otherwise = argument
        return self.resolve(then if self.condition(name) else otherwise)

    def _resolve_find_in_map(self, argument: list[Any]) -> Any:  # noqa: ANN401 -- a map holds texts and lists
        name, first, second = (self.resolve(part) for part in argument)
        try:
            return self._mappings[name][first][second]
        except KeyError as error:
            raise LocalCloudError(
                f"Fn::FindInMap: the template's Mappings have no {name}, {first}, {second}"
            ) from error
