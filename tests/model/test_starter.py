"""Where the bundled model folder lies: said in one place."""

from pathlib import Path

from clayline.model.starter import BUNDLE, FOLDER, starter_folder
from clayline_local.repository import ROOT, STARTER


def test_the_starter_lies_in_a_checkout_or_beside_the_wheels_package_or_nowhere(tmp_path: Path) -> None:
    package = tmp_path / "site" / "lib" / "clayline"
    assert starter_folder(package) is None
    bundle = package.parent / BUNDLE / FOLDER
    bundle.mkdir(parents=True)
    assert starter_folder(package) == bundle
    assert starter_folder() == STARTER


def test_one_module_of_the_package_and_its_tools_says_where() -> None:
    folders = (ROOT / "layers" / "clayline", ROOT / "local", ROOT / "cli")
    sources = {path: path.read_text() for folder in folders for path in folder.rglob("*.py")}
    for said in (FOLDER.name, BUNDLE):
        quoted = [path.relative_to(ROOT).as_posix() for path, text in sources.items() if f'"{said}"' in text]
        assert quoted == ["layers/clayline/clayline/model/starter.py"], said
