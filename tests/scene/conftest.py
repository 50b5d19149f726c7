"""What the domain's tests share: the real Items of the shared imagery."""

import json
from pathlib import Path
from typing import Any

import pytest


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.fixture
def ireland(shared_data: Path) -> dict[str, Any]:
    """Sentinel-2 with the offset, relative hrefs, no B08."""
    return _read(shared_data / "s2_29UNU_ireland_2022_60m" / "S2A_29UNU_20221005_0_L2A_60m.json")


@pytest.fixture
def sahara(shared_data: Path) -> dict[str, Any]:
    """Earth Search's own Item: https hrefs, jp2 twins, a visual."""
    return _read(shared_data / "s2_29RKH_sahara_2020" / "S2A_29RKH_20200219_0_L2A.json")


@pytest.fixture
def colombia(shared_data: Path) -> dict[str, Any]:
    """USGS's Landsat Item of STAC 0.7: eo:bands are numbers."""
    return _read(shared_data / "landsat8_colombia_2019" / "LC08_L2SP_008059_20191201_20200825_02_T1_SR_stac.json")


@pytest.fixture
def mtl(shared_data: Path) -> dict[str, Any]:
    """Landsat's metadata as JSON, beside its Item."""
    return _read(shared_data / "landsat8_colombia_2019" / "LC08_L2SP_008059_20191201_20200825_02_T1_MTL.json")
