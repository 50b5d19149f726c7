"""What an error says is sent to people: it stays sendable whatever the input was, with its beginning and its remedy."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import ROOT

from clayline.errors import MAX_MESSAGE, BatchError, SceneError, bounded, counted, digest_shown, shown
from clayline.run.receipt import BatchSettlement, Receipt, SceneWarning, failed_receipt
from clayline.scene.item import load_json, read_item

MOST_OF_AN_EVENT = 256 * 1024
"""EventBridge's limit for an entry, in bytes."""


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=50), st.integers(0, 5_000))
def test_a_message_is_never_too_long(text: str, times: int) -> None:
    message = text * times
    found = bounded(message)
    assert len(found) <= MAX_MESSAGE
    assert found == message or len(message) > MAX_MESSAGE
    assert found[:1000] == message[:1000]
    assert found[-500:] == message[-500:]


@pytest.mark.parametrize("kind", [SceneError, BatchError])
def test_what_was_wrong_and_what_to_do_are_kept(kind: type[SceneError] | type[BatchError]) -> None:
    error = kind(f"scene S2A: {'x' * 1_000_000}. Correct the Item.", reason="invalid-item")
    assert len(str(error)) == MAX_MESSAGE
    assert str(error).startswith("scene S2A: xxx")
    assert str(error).endswith("xxx. Correct the Item.")
    assert " [...] " in str(error)


@pytest.mark.parametrize(("count", "said"), [(0, "0 chips"), (1, "1 chip"), (2, "2 chips"), (2_000, "2,000 chips")])
def test_a_number_has_its_noun_in_its_number(count: int, said: str) -> None:
    assert counted(count, "chip") == said
    assert counted(count, "chip is", "chips are") == f"{said} {'is' if count == 1 else 'are'}"


def test_a_digest_that_was_cut_says_so() -> None:
    assert digest_shown(f"sha256:{'0123456789abcdef' * 4}") == "sha256:0123456789ab..."
    assert digest_shown("sha256:0123") == "sha256:0123"


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert bounded("a\ud800b") == "a?b"


def test_what_a_terminal_would_obey_is_replaced() -> None:
    """An asset may be called so, and messages name it."""
    assert bounded("asset \x1b[2J\x07\x00\x9b\r of\n\tB04") == "asset ?[2J???? of\n\tB04"


def test_what_makes_a_receipt_or_warning_cannot_make_it_too_long() -> None:
    """Wherever the words come from: they are cut where they are kept, so that they always make an event."""
    endless = "\U0001f6f0" * 1_000_000
    warning = SceneWarning(reason="own-grid", message=endless)
    receipt = failed_receipt(run="0" * 32, scene="x", source_uri="s3://a/b", reason="x-y", message=endless, outputs={})
    whole = Receipt.model_validate({**receipt.model_dump(), "warnings": (warning,) * 8})
    assert len(warning.message) == len(whole.message or "") == MAX_MESSAGE
    assert len(json.dumps(whole.summary(landed_uri=whole.source_uri, repeated=True))) < MOST_OF_AN_EVENT
    settled = BatchSettlement(batch="b00000", status="failed", output=None, reason="x-y", message=endless)
    assert len(settled.message or "") == MAX_MESSAGE


@pytest.mark.parametrize(
    "changes",
    [
        {"collection": "\U0001f6f0" * 1_000_000},
        {"assets": {f"{number:0100}": {} for number in range(40_000)}},
        {"assets": {"red": {"href": "http://" + "\u00e9" * 4_000_000 + ".tif"}}},
    ],
    ids=["collection", "assets", "href"],
)
def test_megabytes_quoted_from_an_item_still_make_an_event(changes: dict[str, object]) -> None:
    content = {"id": "a" * 512, "properties": {}, "collection": "sentinel-2-l2a", "assets": {}, **changes}
    with pytest.raises(SceneError) as caught:
        read_item(content, uri="s3://scenes/a.json", allowed_buckets=frozenset({"scenes"}))
    receipt = failed_receipt(
        run="0" * 32,
        scene="x" * 1024,
        source_uri="s3://scenes/" + "x" * 1024,
        reason=caught.value.reason,
        message=str(caught.value),
        outputs={"receipt": "s3://out/" + "x" * 1024},
    )
    assert len(json.dumps(receipt.summary(landed_uri=receipt.source_uri, repeated=True))) < MOST_OF_AN_EVENT / 4


@pytest.mark.parametrize("body", [rb'{"id": "\ud800"}', rb'{"\udc00": 1}', rb'["\ud83d\ud83d"]'])
def test_json_that_no_utf8_can_hold_is_refused(body: bytes) -> None:
    with pytest.raises(SceneError, match="not valid JSON") as caught:
        load_json(body, scene="s3://scenes/a.json")
    assert caught.value.reason == "invalid-json"


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert load_json(rb'"\ud83d\udef0"', scene="s3://scenes/a.json") == "\U0001f6f0"


def test_what_a_terminal_would_obey_is_not_shown() -> None:
    assert shown("platform \x1b[31msentinel\u202e-2a\ud800\n\tnext") == "platform ?[31msentinel?-2a?\n\tnext"


@pytest.mark.parametrize("folder", ["layers/clayline/clayline", "cli/clayline_cli", "local/clayline_local"])
def test_a_command_that_is_advised_can_be_pasted_whatever_the_folder_is_called(folder: str) -> None:
    """Names of watches and buckets are checked, and have nothing that a shell reads; all else is quoted."""
    checked = {"name", "kept.name", "bucket", "self.prog"}
    advised = [
        (path.name, placeholder)
        for path in sorted((ROOT / folder).rglob("*.py"))
        for command in re.findall(r"`clayline [^`]*`", path.read_text(encoding="utf-8"))
        for placeholder in re.findall(r"\{([^}]*)\}", command)
    ]
    assert [each for each in advised if not each[1].startswith("quote(") and each[1] not in checked] == []
    assert folder.startswith("local") or any(placeholder.startswith("quote(") for _, placeholder in advised)
