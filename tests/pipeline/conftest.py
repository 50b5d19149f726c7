"""A fresh cloud in the process for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws
from tests.pipeline.harness import Pipeline
from tests.server.model_folders import build_chained_folder, build_model_folder


@pytest.fixture
def make_pipeline(tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    """Give a maker of pipelines on moto; making another ends the one before."""
    clouds: list[Any] = []

    def make(
        *, model: dict[str, Any] | None = None, build: Callable[..., Path] = build_model_folder, **options: Any
    ) -> Pipeline:
        for cloud in clouds[-1:]:
            cloud.stop()
        models, scratch = (tmp_path / f"{name}{len(clouds)}" for name in ("models", "scratch"))
        models.mkdir()
        scratch.mkdir()
        sensor = (
            {"sensors": {"landsat-c2l1": ("red", "green", "blue")}}
            if build is build_chained_folder
            else {"sensor": "landsat-c2l1"}
        )
        build(models, **{**sensor, "gsd": 30.0, **(model or {})})
        clouds.append(mock_aws())
        clouds[-1].start()
        return Pipeline(models, scratch=scratch, **options)

    yield make
    for cloud in clouds[-1:]:
        cloud.stop()
