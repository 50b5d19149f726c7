"""A staged scene's files as objects of the scenes bucket: for plan's dry run, without any cloud."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, NoReturn, override

from clayline.chips.cog import CogSource
from clayline.ports import ObjectHead, ObjectMissingError, ObjectTooLargeError
from clayline.raster.headers import GdalHeaders
from clayline.run.names import Names
from clayline_local.etags import PART, etag_of
from clayline_local.looked_up import LookedUpPixels
from clayline_local.physical import Place, identify
from clayline_local.scene_keys import NAMES
from clayline_local.staged_scene import StagedScene

_PLACE: Final = Place(stack="clayline", account="", region="", sqs_endpoint="")
SCENES_BUCKET: Final = identify("AWS::S3::Bucket", "ScenesBucket", {}, _PLACE, str).ref
"""The local cloud's: its name is part of every URI, and so of a run's identity."""
SCENE_NAMES: Final = Names(prefixes=tuple((f"s3://{SCENES_BUCKET}/{key}", name) for key, name in NAMES.items()))
"""What people call what lies there."""


@dataclass(frozen=True, kw_only=True)
class StagedObjects:
    """The port Objects over a staged scene: what there is can be read, and nothing written."""

    scene: StagedScene
    digest: bool = False
    """Whether ETags are those that an upload gives, for which every file is read whole; else they are empty."""

    @cached_property
    def files(self) -> Mapping[str, Path]:
        """Each file by the URI that its object would have."""
        return {f"s3://{SCENES_BUCKET}/{key}": file for key, file in (*self.scene.assets, self.scene.landing)}

    def head(self, uri: str) -> ObjectHead:
        """Raises ObjectMissingError."""
        file = self._file(uri)
        is_landing = file is self.scene.landing[1]
        in_parts = not is_landing and file.stat().st_size >= PART
        etag = etag_of(file, part=PART if in_parts else None) if self.digest else ""
        metadata = {name.lower(): value for name, value in self.scene.metadata.items()} if is_landing else {}
        return ObjectHead(uri=uri, size=file.stat().st_size, etag=etag, metadata=metadata)

    def get(self, uri: str, *, most: int | None = None) -> bytes:
        """Raises ObjectMissingError, ObjectTooLargeError."""
        file = self._file(uri)
        if most is not None and (size := file.stat().st_size) > most:
            msg = f"{uri} has {size} bytes; at most {most} are read"
            raise ObjectTooLargeError(msg)
        return file.read_bytes()

    def put_new(self, uri: str, body: bytes | Path, *, run: str, content_type: str) -> NoReturn:
        """Refuse: a dry run that writes is a mistake of ours."""
        del body, run, content_type
        msg = f"{uri} was to be written in a dry run"
        raise RuntimeError(msg)

    def _file(self, uri: str) -> Path:
        file = self.files.get(uri)
        if file is None or not file.is_file():
            msg = f"there is no object {uri}"
            raise ObjectMissingError(msg)
        return file


@dataclass(frozen=True, kw_only=True)
class StagedHeaders(GdalHeaders):
    """GdalHeaders on the files themselves."""

    files: Mapping[str, Path]
    """By URI."""

    @override
    def source(self, head: ObjectHead) -> CogSource:
        return replace(super().source(head), path=str(self.files[head.uri].absolute()))


@dataclass(frozen=True, kw_only=True)
class StagedPixels(LookedUpPixels):
    """LookedUpPixels on the files themselves."""

    files: Mapping[str, Path]
    """By URI."""

    @override
    def locate(self, uri: str, size: int) -> CogSource:
        return replace(super().locate(uri, size), path=str(self.files[uri].absolute()))
