"""The sheet of an answer: its chips as they look, read back from their imagery by the one opener of COGs."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import numpy as np
from botocore.exceptions import BotoCoreError, ClientError
from numpy.typing import NDArray

from clayline.api.dataset import Dataset
from clayline.api.exemplars import Exemplar
from clayline.api.search_terms import Found
from clayline.chips.cog import CogSource
from clayline.dataset.scene_row import SceneRow
from clayline.errors import ClaylineError, counted
from clayline.likeness.imagery import SceneImagery
from clayline.likeness.sheet import MOST, Shown, sheet
from clayline.raster.chip_pictures import png, read_chip
from clayline.raster.cog import ReadSettings
from clayline.raster.headers import s3_source
from clayline.run.access import Access
from clayline.run.keys import parse_s3_uri
from clayline_cli.asking.imagery import Looks
from clayline_cli.errors import CommandError
from clayline_cli.searching.telling import centred
from clayline_local.etags import is_changed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_AT_ONCE: Final = 8


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where imagery may be read: what a file names was written by somebody, and may be anything."""

    local: bool
    """Whether files of this machine may be: those that files of this machine name."""
    buckets: frozenset[str]
    request_payer: bool = False
    client: "S3Client | None" = None

    @property
    def settings(self) -> ReadSettings:
        """How they are read."""
        return ReadSettings(
            threads=1, access=Access(requester_pays=self.buckets if self.request_payer else frozenset())
        )

    def locate(self, uri: str) -> CogSource:
        """Give where imagery is. Raises CommandError for what may not be read, or is not there."""
        if uri.startswith("file:///"):
            return self._file(uri)
        try:
            bucket, key = parse_s3_uri(uri)
        except ValueError as error:
            msg = f"{uri} is neither in S3 nor a file of this machine"
            raise CommandError(msg) from error
        if bucket not in self.buckets or self.client is None:
            msg = f"bucket {bucket}: --allow-bucket {bucket}"
            raise CommandError(msg)
        try:
            payer: dict[str, Any] = {"RequestPayer": "requester"} if self.request_payer else {}
            head = self.client.head_object(Bucket=bucket, Key=key, **payer)
        except (BotoCoreError, ClientError) as error:
            msg = f"{uri} cannot be read ({error})"
            raise CommandError(msg) from error
        return replace(s3_source(uri, head["ContentLength"]), etag=head["ETag"].strip('"'))

    def check(self, imagery: SceneImagery) -> None:
        """Refuse imagery that is another than was embedded: its chips would be somebody else's pictures.

        A file of this machine is read once. Raises CommandError, and what ``locate`` raises.
        """
        for band in {band.uri: band for band in imagery.bands}.values():
            found = self.locate(band.uri)
            is_other = found.etag != band.etag if found.etag else is_changed(Path(found.path), band.etag)
            if band.etag and is_other:
                msg = f"{band.uri.rpartition('/')[2]} was replaced since it was embedded"
                raise CommandError(msg)

    def _file(self, uri: str) -> CogSource:
        if not self.local:
            msg = f"{urlsplit(uri).path}: a file of another machine"
            raise CommandError(msg)
        path = Path.from_uri(uri)
        if not path.is_file():
            msg = f"{path.name} is not in {path.parent} any more"
            raise CommandError(msg)
        return CogSource(path=str(path), uri=uri, size=path.stat().st_size)


@dataclass(kw_only=True)
class Sheet:
    """Makes it."""

    dataset: Dataset
    places: Places
    own: Mapping[str, Looks]
    """How examples of the user's own imagery look, by identifier."""
    _imagery: dict[tuple[str, int], SceneImagery | str] = field(default_factory=dict)

    def make(self, found: Found) -> tuple[bytes, list[Shown]]:
        """Give the picture, examples before the answer, and its chips. Raises CommandError for too many."""
        count = len(found.like) + len(found.unlike) + len(found.table)
        if count > MOST:
            msg = f"a sheet has at most {MOST:,} chips, with the examples: ask for fewer (--count)."
            raise CommandError(msg)
        examples = [*((each, "like") for each in found.like), *((each, "unlike") for each in found.unlike)]
        wanted = [self._of_example(*each) for each in examples]
        for rank, row in enumerate(found.table.drop_columns(["geometry", "bbox"]).to_pylist(), start=1):
            # Cloud has a line of its own, the last: beside a rank of two digits it is wider than a chip.
            cloud = () if row["cloud_fraction"] is None else (f"cloud {row['cloud_fraction']:.0%}",)
            said = (f"{rank}  {row['score']:.3f}", f"{row['datetime']:%Y-%m-%d}", row["uci"].split("_")[0], *cloud)
            wanted.append(
                _Wanted(
                    scene=found.scenes[row["scene"], row["revision"]],
                    index=row["index"],
                    said={"lines": said, "kind": "found"},
                )
            )
        for each in wanted:  # once, before threads ask
            if each.scene is not None:
                self._scene(each.scene)
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            chips = list(threads.map(self._shown, wanted))
        return png(sheet(chips, title=_title(found))), chips

    def _of_example(self, example: Exemplar, kind: str) -> "_Wanted":
        place = example.name.split("_")[0]
        if own := self.own.get(example.name):
            return _Wanted(own=own, said={"lines": (kind, own.date, place, own.file), "kind": kind})
        date = f"{example.scene.start:%Y-%m-%d}" if example.scene else ""
        return _Wanted(scene=example.scene, index=example.index, said={"lines": (kind, date, place), "kind": kind})

    def _scene(self, scene: SceneRow) -> SceneImagery | str:
        """Read where a scene's imagery is, once; a text says why that is not known."""
        key = (scene.scene, scene.revision)
        if key not in self._imagery:
            try:
                provenance: Mapping[str, Any] = self.dataset.provenance(scene)
                imagery = SceneImagery.of(provenance, name=scene.href)
                self.places.check(imagery)
                self._imagery[key] = imagery
            except (ClaylineError, OSError) as error:
                self._imagery[key] = str(error)
        return self._imagery[key]

    def _shown(self, wanted: "_Wanted") -> Shown:
        said, scene = wanted.said, wanted.scene
        if own := wanted.own:
            return Shown(pixels=own.pixels, why=own.why, scene=_alike(own.scene, own.pixels), **said)
        if scene is None or wanted.index is None:
            return Shown(pixels=None, why="an example of no dataset, whose imagery nobody gave", scene="", **said)
        imagery = self._scene(scene)
        if isinstance(imagery, str):
            return Shown(pixels=None, why=imagery, scene=scene.scene, **said)
        try:
            pixels = read_chip(imagery, wanted.index, locate=self.places.locate, settings=self.places.settings)
        except ClaylineError as error:
            return Shown(pixels=None, why=str(error), scene=scene.scene, **said)
        return Shown(pixels=pixels, why="", scene=_alike(scene.scene, pixels), **said)


def _alike(scene: str, pixels: NDArray[np.float32] | None) -> str:
    """Name what is stretched alike: a scene, be it the dataset's or the user's own, as often as its bands are alike."""
    return f"{scene}, {0 if pixels is None else len(pixels)} bands"


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """A chip that the sheet is to show: one of a scene of the dataset, or the user's own, which was read before."""

    said: dict[str, Any]
    scene: SceneRow | None = None
    index: int | None = None
    own: Looks | None = None


def lacking(chips: Sequence[Shown]) -> list[str]:
    """Give why chips could not be shown, each reason once, with how often."""
    why = [chip.why for chip in chips if chip.pixels is None]
    return [f"{why.count(each)} of {len(chips)} chips not shown: {each}" for each in dict.fromkeys(why)]


def _title(found: Found) -> list[str]:
    unlike = f", unlike {len(found.unlike)}" if found.unlike else ""
    return [
        f"{counted(len(found.table), 'chip')} like {counted(len(found.like), 'example')}{unlike}",
        f"{found.token}, centred by {centred(found)}; {counted(found.looked_through, 'chip')} looked through",
    ]
