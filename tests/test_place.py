"""A message tells the user what to set, in the words of the place where the user is."""

import ast
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.architecture.sources import PACKAGE, ROOT, Source, sources

from clayline.errors import SceneError
from clayline.place import Option, Place, words

TEMPLATE = (ROOT / "template.yaml").read_text()
PARAMETERS = re.findall(r"^  (\w+):$", TEMPLATE.partition("\nParameters:\n")[2].partition("\nRules:")[0], re.MULTILINE)
"""Of template.yaml."""
FOREIGN = {
    Place.CLI: re.compile(
        rf"\b(?:{'|'.join(PARAMETERS)})\b|\b[Ss]tack|\b[Ll]and (?:\w+ )?again|Land |land the|\bUpload|object's metadata"
    ),
    Place.AWS: re.compile(r"(?:\A|\s)--|command line"),
}
"""What the messages of a place may not say."""
_COMMAND = re.compile(r"`clayline [^`]*`")
"""A whole command that a person can run: of a dataset it is the same one in both places."""


def spoken(source: Source) -> Iterator[str]:
    """Give every text of a module that is no docstring.

    An Option in it stands as it does when the code runs, anything else as X.
    """
    silent = {id(node.value) for node in ast.walk(source.tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(map(_piece, node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield node.value


def _piece(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.FormattedValue)
    option = node.value
    if isinstance(option, ast.Attribute) and isinstance(option.value, ast.Name) and option.value.id == "Option":
        return f"{Option[option.attr]}"
    return "X"


MODULES = [
    source
    for source in sources()
    if source.path.is_relative_to(PACKAGE) and source.path.parent.name != "aws" and source.path.name != "place.py"
]
TEXTS = {source.name: list(spoken(source)) for source in MODULES}


def test_the_messages_are_all_looked_at() -> None:
    raised = sum(text.count("SceneError(") for source in MODULES for text in [source.path.read_text()])
    remedies = [text for found in TEXTS.values() for text in found if re.search(r"scene X: |X(?:: | has | is )", text)]
    assert raised > 40
    assert len(remedies) > 40
    assert {"AnyGsd", "Boa", "AllowedBuckets", "ChipsPerBatch"} <= set(PARAMETERS)


@pytest.mark.parametrize("place", Place)
def test_no_message_speaks_the_words_of_another_place(place: Place) -> None:
    """Of every text in the domain and its adapters, so of every SceneError and of what collect says."""
    assert {
        f"{name}: {said}"
        for name, texts in TEXTS.items()
        for said in (words(text, place) for text in texts)
        if FOREIGN[place].search(_COMMAND.sub("", said))
    } == set()


def test_every_option_is_used_and_has_words_of_its_own_in_each_place() -> None:
    used = "".join(text for texts in TEXTS.values() for text in texts)
    for option in Option:
        assert f"{option}" in used, option
        for place in Place:
            assert option.at(place)
            assert not FOREIGN[place].search(option.at(place)), option
        assert option.at(Place.AWS) != option.at(Place.CLI)


def test_every_parameter_that_is_named_is_one_of_the_stack() -> None:
    named = {name for option in Option for name in re.findall(r"parameter (\w+)", option.at(Place.AWS))}
    assert named
    assert named <= set(PARAMETERS)


def test_an_error_speaks_either_places_words() -> None:
    error = SceneError(f"scene x: its GSD is 20 m. Allow it with {Option.ANY_GSD}.", reason="wrong-gsd")
    assert error.at(Place.CLI) == "scene x: its GSD is 20 m. Allow it with --any-gsd."
    assert error.at(Place.AWS) == str(error) == "scene x: its GSD is 20 m. Allow it with the stack's parameter AnyGsd."
    again = SceneError(f"file y: {error.message}", reason=error.reason)
    assert again.at(Place.CLI).endswith("Allow it with --any-gsd.")


PIECES = st.sampled_from(["a", " ", "ANY_GSD", "NONE", "\ufdd0", "\ufdd1", "\ufdd2", "é"])


@given(st.lists(PIECES, max_size=12).map("".join), st.sampled_from(Place))
def test_what_others_wrote_breaks_no_message(text: str, place: Place) -> None:
    """An Item's id may hold what our own marks are made of."""
    said = words(text, place)
    assert not {"\ufdd0", "\ufdd1"} & set(said)
    if not {"\ufdd0", "\ufdd1"} & set(text):
        assert said == text
