"""The sagemaker SDK belongs to the publisher: it is larger than everything a function may carry."""

from pathlib import Path

from tests.architecture.sources import ROOT, Source

PUBLISHER = ROOT / "model" / "publish"


def test_only_the_publisher_knows_the_sdk(every: tuple[Source, ...]) -> None:
    users = {source.path for source in every if source.imports_any("sagemaker", "sagemaker_core")}
    assert users == {PUBLISHER / "registry.py", PUBLISHER / "smoke.py"}


def test_nothing_imports_the_publisher(shipped: tuple[Source, ...]) -> None:
    users = {source.name for source in shipped if source.imports_any("publish") and source.path.parent != PUBLISHER}
    assert users == set()


def test_no_other_lock_has_the_sdk() -> None:
    locks = [*(ROOT / "requirements").glob("*.txt"), *(ROOT / "layers").glob("*/requirements.txt")]
    assert len(locks) > 5, "too few locks: this test looks in the wrong place"
    assert [lock for lock in locks if has_sdk(lock)] == [ROOT / "requirements" / "publish.txt"]


def has_sdk(lock: Path) -> bool:
    return any(line.startswith("sagemaker") for line in lock.read_text().splitlines())
