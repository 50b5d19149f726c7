"""House rules that no linter knows."""

import ast
import tomllib
from collections.abc import Iterator

from tests.architecture.sources import ROOT, Source

MOST_LINES = 350
MOST_LINES_OF_AN_APP = 130
APPS = {"collect", "compact", "index", "plan", "reconcile", "settle", "sheet", "tile", "vectors", "watch"}
LAST_RESORTS = {
    "cli/clayline_cli/program.py": "a mistake of ours must not exit with 1, which says that a chip failed",
    "local/clayline_local/worker.py": "as in Lambda, whatever a handler raises fails its batch and not the runtime",
    "model/server/__main__.py": "a folder that cannot be loaded ends the container, whatever was wrong with it",
    "model/server/app.py": "one request must not end the server; it is logged and answered with 500",
    "model/server/folders.py": "ONNX Runtime's errors share no other base class; raised again as ModelError",
}
"""Where ``except Exception`` may stand: the borders to code that may raise anything. Nothing is swallowed there: see
the test below."""


def handlers(tree: ast.AST) -> Iterator[ast.ExceptHandler]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler))


def catches_everything(handler: ast.ExceptHandler) -> bool:
    """Tell a handler that stops any error; one that cleans up and passes it on is none."""
    if isinstance(last := handler.body[-1], ast.Raise) and last.exc is None:
        return False
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(
        kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"}) for kind in caught
    )


def logs_or_raises(handler: ast.ExceptHandler) -> bool:
    logs = {"exception", "critical", "error"}
    return any(
        isinstance(node, ast.Raise)
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in logs)
        for node in ast.walk(handler)
    )


def test_modules_are_short(shipped: tuple[Source, ...]) -> None:
    """Of everything that runs; benchmarks are scripts."""
    modules = [source for source in shipped if not source.name.startswith("benchmarks/")]
    assert {source.name: source.lines for source in modules if source.lines > MOST_LINES} == {}


def test_an_app_only_wires(shipped: tuple[Source, ...]) -> None:
    apps = {source.path.parent.name: source.lines for source in shipped if source.name.startswith("functions/")}
    assert set(apps) == APPS
    assert {name: lines for name, lines in apps.items() if lines > MOST_LINES_OF_AN_APP} == {}


def test_no_handler_catches_everything_but_the_last_resorts(shipped: tuple[Source, ...]) -> None:
    found = {source.name for source in shipped for handler in handlers(source.tree) if catches_everything(handler)}
    assert found == set(LAST_RESORTS)


def test_the_last_resorts_log_or_raise(shipped: tuple[Source, ...]) -> None:
    for source in shipped:
        assert all(logs_or_raises(handler) for handler in handlers(source.tree) if catches_everything(handler)), (
            source.name
        )


def test_no_handler_passes_in_silence_but_where_a_loop_asks_again(shipped: tuple[Source, ...]) -> None:
    for source in shipped:
        repeated = {
            handler for loop in ast.walk(source.tree) if isinstance(loop, ast.While) for handler in handlers(loop)
        }
        for handler in set(handlers(source.tree)) - repeated:
            assert not all(isinstance(node, ast.Pass | ast.Continue) for node in handler.body), (
                f"{source.name}:{handler.lineno}"
            )


def test_no_pickle_and_no_eval(every: tuple[Source, ...]) -> None:
    for source in every:
        assert not source.imports_any("pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"), (
            source.name
        )
        calls = {
            node.func.id
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not calls & {"eval", "exec", "compile", "__import__"}, source.name


def test_every_module_says_what_it_is(shipped: tuple[Source, ...]) -> None:
    assert [source.name for source in shipped if not ast.get_docstring(source.tree)] == []


def test_no_module_is_named_after_nothing(shipped: tuple[Source, ...]) -> None:
    nothing = {"utils", "util", "common", "helpers", "helper", "misc", "core", "base"}
    assert [source.name for source in shipped if source.path.stem in nothing] == []


def test_errors_of_the_package_have_one_root(package: tuple[Source, ...]) -> None:
    """ValueError beside it: a message that is about nothing of ours is no failure."""
    known = {"ClaylineError", "TransientError"}
    for source in package:
        for node in ast.walk(source.tree):
            if (
                isinstance(node, ast.ClassDef)
                and node.name.endswith("Error")
                and node.name not in {"ClaylineError", "UnknownEventError", "UnknownResultError"}
            ):
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                assert bases & known, f"{source.name}: {node.name}"


def test_every_folder_of_modules_is_installed(shipped: tuple[Source, ...]) -> None:
    """A room that is not listed works in a checkout and is missing from a wheel."""
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    places = {ROOT / place: name for name, place in setup["package-dir"].items()}
    assert places.pop(ROOT) == "clayline_bundle"  # files alone: tests/cli/test_wheel.py
    assert set(places.values()) == {"clayline", "clayline_cli", "clayline_local"}
    there = {
        ".".join((name, *source.path.parent.relative_to(place).parts))
        for place, name in places.items()
        for source in shipped
        if source.path.is_relative_to(place)
    }
    assert there == set(setup["packages"]) - {"clayline_bundle"}


def test_tests_mirror_the_rooms() -> None:
    rooms = {path.parent.name for path in (ROOT / "layers/clayline/clayline").glob("*/__init__.py")}
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py"))}
    assert {{"steps": "pipeline"}.get(room, room) for room in rooms} <= folders
