"""docs/architecture.svg against the template, the folders and the contract of the rooms.

What is built is drawn, where it stands, and nothing is drawn over something else.
"""

import re
import subprocess
import tomllib
from itertools import combinations, groupby, pairwise
from xml.etree import ElementTree as ET

import pytest
from tests.architecture.sources import PACKAGE, ROOT

from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, Stack, expand

Box = tuple[float, float, float, float]
UNDRAWN = {".ci", "requirements"}
"""Folders in which nobody looks for code."""
SVG = "{http://www.w3.org/2000/svg}"


def _drawing() -> ET.Element:
    return ET.fromstring((ROOT / "docs" / "architecture.svg").read_bytes())  # noqa: S314 - our own file


def _labels() -> list[str]:
    return [str(text.text) for text in _drawing().iter(f"{SVG}text")]


def _stack() -> Stack:
    return expand(TEMPLATE, LOCAL_PARAMETERS)


def _spoken(logical_id: str) -> str:
    return " ".join(word.lower() for word in re.findall(r"[A-Z][a-z]+", logical_id))


def test_every_function_bucket_and_queue_is_in_the_diagram() -> None:
    stack = _stack()
    wanted = {path.name for path in (ROOT / "functions").iterdir() if (path / "app.py").is_file()}
    wanted |= {_spoken(bucket.logical_id) for bucket in stack.of_type("AWS::S3::Bucket")}
    wanted |= {
        _spoken(queue.logical_id) for queue in stack.of_type("AWS::SQS::Queue") if not queue.logical_id.endswith("Dlq")
    }
    assert {"plan", "model bucket", "scene queue"} < wanted
    assert wanted <= set(_labels())


def test_the_work_bucket_is_drawn_with_all_its_prefixes() -> None:
    rules = _stack().resources["WorkBucket"].properties["LifecycleConfiguration"]["Rules"]
    prefixes = {rule["Prefix"].strip("/") for rule in rules if "Prefix" in rule}
    labels = _labels()
    said = labels[labels.index("work bucket") + 1].partition(" (")[0].split(" · ")
    assert set(said) == prefixes


def test_arrows_lead_along_the_chain_and_from_the_model_to_both_that_read_it() -> None:
    boxes, names = _boxes(), {}
    for text in _drawing().iter(f"{SVG}text"):
        if "font-weight" in text.attrib:
            x, y = float(text.attrib["x"]), float(text.attrib["y"])
            names[next(box for box in boxes if box[0] < x < box[2] and box[1] < y < box[3])] = str(text.text)
    drawn = set()
    for path in _drawing().findall(f"{SVG}path"):
        points = [(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", path.attrib["d"])]
        drawn.add(
            tuple(
                next((name for box, name in names.items() if _touches(box, point)), "")
                for point in (points[0], points[-1])
            )
        )
    chain = [
        "scenes bucket",
        "scene queue",
        "plan",
        "tile queue",
        "tile",
        "SageMaker endpoint",
        "SNS topics",
        "result queue",
    ]
    chain += ["settle", "settled queue", "collect", "embeddings bucket"]
    assert set(pairwise(chain)) | {("model bucket", "plan"), ("model bucket", "SageMaker endpoint")} <= drawn


def test_the_rooms_are_drawn_line_by_line_as_the_contract_has_them() -> None:
    assert _drawn_rooms() == _contract()


def test_the_packages_folders_and_modules_are_the_rooms() -> None:
    lying = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    lying |= {path.name for path in PACKAGE.glob("*.py") if path.stem != "__init__"}
    assert {room.rstrip("/") for line in _drawn_rooms() for room in line} == lying


def test_every_folder_of_the_repository_is_drawn() -> None:
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\n")
    lying = {f"{name.partition('/')[0]}/" for name in listed if "/" in name} - {f"{name}/" for name in UNDRAWN}
    assert set(_drawn_folders()) == lying


def test_the_architectures_table_has_the_rooms_of_the_drawing_in_its_order() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", page.partition("### Rooms")[2].partition("\n### ")[0], re.MULTILINE)
    listed = [re.findall(r"`([\w.]+/?)`", row) for row in rows]
    in_a_line = [room for line in listed for room in line]
    assert sorted(in_a_line) == sorted(room for line in _drawn_rooms() for room in line)
    place = {room: number for number, line in enumerate(_drawn_rooms()) for room in line}
    assert [place[room] for room in in_a_line] == sorted(place.values())


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_the_pages_list_the_folders_of_the_drawing(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    table = text.partition("| folder | what is in it |\n")[2].partition("\n\n")[0]
    rows = [row.partition(" | ")[0] for row in table.splitlines()[1:]]
    assert [re.sub(r".*`([\w.]+/)`.*", r"\1", row) for row in rows] == _drawn_folders()


def test_boxes_and_labels_keep_apart() -> None:
    boxes = _boxes()
    assert not [pair for pair in combinations(boxes, 2) if _overlap(*pair)]
    for text in _drawing().iter(f"{SVG}text"):
        x0, y0, x1, y1 = _extent(text)
        around = [box for box in boxes if box[0] < x1 and box[2] > x0 and box[1] < y1 and box[3] > y0]
        assert all(box[0] <= x0 and x1 <= box[2] and box[1] <= y0 and y1 <= box[3] for box in around), text.text


def _contract() -> list[list[str]]:
    """Give the contract's lines as names of folders and modules."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract for contract in settings["contracts"] if "clayline.place" in contract["layers"])["layers"]
    lines = [[room.strip().removeprefix("clayline.") for room in line.split("|")] for line in layers]
    return [[f"{room}/" if (PACKAGE / room).is_dir() else f"{room}.py" for room in line] for line in lines]


def _drawn_rooms() -> list[list[str]]:
    """Give the rooms as they stand, line by line, from left to right."""
    right = [found for found in _below() if found[1] > _middle()]
    return [[name for _, _, name in line] for _, line in groupby(right, key=lambda found: found[0])]


def _drawn_folders() -> list[str]:
    return [name for _, x, name in _below() if x < _middle()]


def _below() -> list[tuple[float, float, str]]:
    """Give upper edge, left edge and name of each box below the line that ends the flow, in reading order."""
    found = []
    for text in _drawing().iter(f"{SVG}text"):
        x, y = float(text.attrib["x"]), float(text.attrib["y"])
        name = str(text.text)
        if "font-weight" in text.attrib and re.fullmatch(r"\w+/|\w+\.py", name):
            left, top, *_ = next(box for box in _boxes() if box[0] < x < box[2] and box[1] < y < box[3])
            found.append((top, left, name))
    return sorted(found)


def _middle() -> float:
    return min(left for _, left, name in _below() if name == "steps/") - 1


def _boxes() -> list[Box]:
    boxes = []
    for rect in list(_drawing().iter(f"{SVG}rect"))[1:]:  # the first is the paper
        x, y, width, height = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        boxes.append((x, y, x + width, y + height))
    return boxes


def _touches(box: Box, point: tuple[float, float], near: float = 2.5) -> bool:
    return box[0] - near <= point[0] <= box[2] + near and box[1] - near <= point[1] <= box[3] + near


def _extent(text: ET.Element) -> Box:
    """Give about where a label is: half its size a character, as Helvetica's, a tenth more if it is bold."""
    size = float(text.attrib.get("font-size", "13"))
    width = len(str(text.text)) * size * (0.55 if "font-weight" in text.attrib else 0.5)
    x, y = float(text.attrib["x"]), float(text.attrib["y"])
    left = x - width / 2 if text.attrib.get("text-anchor") == "middle" else x
    return left, y - size * 0.8, left + width, y + size * 0.2


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
