"""Where the files of an Item's bands are: where its hrefs say, in a folder under the same name, or in S3."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from clayline.errors import SceneError
from clayline.place import Place
from clayline.run.keys import parse_s3_uri
from clayline.scene.href import MAX_RECORDED, choose, quoted
from clayline.scene.item import ALTERNATE, DECLARED_HREF, read_item
from clayline.scene.sensor import Product
from clayline_cli.errors import CommandError
from clayline_local.scene_keys import absolute, file_key, object_key

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_PROBE: Final = "probe"
_DOTS: Final = {".", ".."}


@dataclass(frozen=True, kw_only=True, slots=True)
class Asset:
    """A band's or mask's asset whose place is known."""

    name: str
    """Key among the Item's assets."""
    key: str
    """In the local scenes bucket."""
    file: Path | None
    """On this machine; None if it is yet to be fetched, or if there is none and plan shall say so."""
    fetched: tuple[str, str] | None = None
    """Bucket and key in S3."""
    by_name: bool = False
    """Whether it was found elsewhere than its href says, by the name alone."""
    alternate: str | None = None
    """Name of the alternate href that leads to it."""


def of_bands(content: Mapping[str, Any], products: tuple[Product, ...] | None = None) -> list[str]:
    """Give the keys of the assets that are bands or mask, as plan will read them; none if plan will refuse the Item."""
    assets = {}
    for number, (name, asset) in enumerate(content["assets"].items()):
        if isinstance(asset, dict) and isinstance(asset.get("href"), str):
            assets[name] = {**asset, "href": f"{number}{_tiff_suffix(asset['href'])}"}
    try:
        item = read_item(
            {**content, "assets": assets},
            uri=f"s3://{_PROBE}/item.json",
            allowed_buckets=frozenset({_PROBE}),
            products=products,
        )
    except SceneError:
        return []
    masks = (*item.data_masks, *((item.mask.asset,) if item.mask else ()))
    used = {band.uri.rpartition("/")[2] for band in (*item.bands, *item.rivals, *masks)}
    return [name for name, asset in assets.items() if asset["href"] in used]


def locate(
    content: Mapping[str, Any],
    *,
    own: str,
    item: Path | None,
    folders: Sequence[Path],
    allowed_buckets: frozenset[str],
    products: tuple[Product, ...] | None = None,
) -> list[Asset]:
    """Find the assets of the bands of an Item with the key ``own``; ``item`` is its file, None for one in S3.

    Looked at in turn: where the href says on this machine, each of ``folders`` for a file of that name, and S3. Raises
    CommandError if a name fits several files, or one file several hrefs.
    """
    found = []
    for name in of_bands(content, products):
        declared = content["assets"][name]
        asset = _locate(name, declared, own=own, item=item, folders=folders, allowed_buckets=allowed_buckets)
        if asset is not None:
            found.append(asset)
    _check_distinct(found, content)
    return found


def relink(content: dict[str, Any], assets: Sequence[Asset], *, own: str) -> dict[str, Any] | None:
    """Give the Item with hrefs that lead from its key to the assets' keys; None if they all do already."""
    changed: dict[str, Any] = {}
    for asset in assets:
        declared = content["assets"][asset.name]
        href = relative(own, asset.key)
        if (
            not asset.by_name
            and declared["href"] in {href, href.removeprefix("./")}
            and not _SCHEME.match(declared["href"])
        ):
            continue
        changed[asset.name] = {**declared, "href": href, **_published(asset, declared["href"])}
    return {**content, "assets": {**content["assets"], **changed}} if changed else None


def _published(asset: Asset, href: str) -> dict[str, str]:
    """Give what an asset found elsewhere than at its href keeps of it, for the provenance."""
    kept = {DECLARED_HREF: quoted(href, MAX_RECORDED)} if asset.by_name or asset.alternate else {}
    return {**kept, **({ALTERNATE: asset.alternate} if asset.alternate else {})}


def relative(own: str, key: str) -> str:
    """Give the href that leads from an Item's key to another key, as clayline.scene.item reads it: raw."""
    base, target = own.split("/")[:-1], key.split("/")
    shared = 0
    while shared < min(len(base), len(target) - 1) and base[shared] == target[shared]:
        shared += 1
    return "/".join([*([".."] * (len(base) - shared) or ["."]), *target[shared:]])


def referred(content: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """Give the files of a folder that any asset of an Item there refers to."""
    for asset in content["assets"].values():
        if isinstance(asset, dict) and isinstance(asset.get("href"), str):
            own = _on_this_machine(asset["href"], [folder])
            yield from [own] if own else _of_that_name(asset["href"], folder)


def is_file(path: Path) -> bool:
    """Tell whether there is a regular file, whatever the path holds."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or has a NUL
        return False


def _locate(
    name: str,
    declared: Mapping[str, Any],
    *,
    own: str,
    item: Path | None,
    folders: Sequence[Path],
    allowed_buckets: frozenset[str],
) -> Asset | None:
    href = declared["href"]
    homes = [absolute(item).parent, item.resolve().parent] if item else []
    if file := _on_this_machine(href, homes):
        return Asset(name=name, key=file_key(file), file=_readable(file))
    if file := _by_name(name, href, folders):
        return Asset(name=name, key=file_key(file), file=_readable(file), by_name=True)
    if item and (should := _should_be(href, homes[0])):
        return Asset(name=name, key=file_key(should), file=None)
    try:
        base = "" if item else f"s3://{own.removeprefix('s3/')}"
        chosen = choose(declared, base, scene=name, allowed=allowed_buckets)
    except SceneError as error:
        if error.reason == "forbidden-href":
            return None  # plan refuses it by name
        raise CommandError(error.at(Place.CLI)) from error
    bucket, key = parse_s3_uri(chosen.uri)
    return Asset(name=name, key=object_key(bucket, key), file=None, fetched=(bucket, key), alternate=chosen.alternate)


def _on_this_machine(href: str, homes: Sequence[Path]) -> Path | None:
    """Give the file that a relative href, an absolute path or a ``file:`` URI means, seen from the Item's folder."""
    for home in homes:
        for path in _paths(href, home):
            if is_file(path):
                return path
    return None


def _should_be(href: str, home: Path) -> Path | None:
    return next(iter(_paths(href, home)), None)


def _paths(href: str, home: Path) -> list[Path]:
    """Give what an href may mean here: as it is, since Items are written by hand too, and percent-decoded as a URI."""
    if href.lower().startswith("file:"):
        try:
            parts = urlsplit(href)
        except ValueError:
            return []
        return [Path(unquote(parts.path))] if parts.netloc in {"", "localhost"} and parts.path.startswith("/") else []
    if not href or href.startswith("//") or _SCHEME.match(href):
        return []
    return [home / text for text in dict.fromkeys((href, unquote(href)))]


def _by_name(name: str, href: str, folders: Sequence[Path]) -> Path | None:
    for folder in folders:
        files = _of_that_name(href, folder)
        if len(files) > 1:
            msg = f"asset {name!r} ({href}) may be {' or '.join(map(str, files))}. Move away what it is not."
            raise CommandError(msg)
        if files:
            return files[0]
    return None


def _of_that_name(href: str, folder: Path) -> list[Path]:
    """Give the files whose name is exactly the href's last part, as it is, without its query, or percent-decoded."""
    try:
        path = urlsplit(href).path
    except ValueError:
        path = href
    parts = [text.rpartition("/")[2] for text in (href, path, unquote(path))]
    return [folder / part for part in dict.fromkeys(parts) if part and part not in _DOTS and is_file(folder / part)]


def _check_distinct(found: Sequence[Asset], content: Mapping[str, Any]) -> None:
    """Refuse a file that stands for assets with different hrefs: for one of them, it is the wrong one."""
    for asset in found:
        href = content["assets"][asset.name]["href"]
        same = [
            other.name for other in found if other.key == asset.key and content["assets"][other.name]["href"] != href
        ]
        if asset.by_name and same:
            msg = (
                f"assets {', '.join(map(repr, (asset.name, *same)))} have different hrefs, and "
                f"only {asset.file} has the name of each. "
                "Correct the hrefs in the Item, so that each leads to its own file."
            )
            raise CommandError(msg)


def _readable(path: Path) -> Path:
    if not os.access(path, os.R_OK):
        msg = f"{path} cannot be read. Check its permissions."
        raise CommandError(msg)
    return path


def _tiff_suffix(href: str) -> str:
    try:
        suffix = PurePosixPath(urlsplit(href).path).suffix
    except ValueError:
        return ""
    return ".tif" if suffix.lower() in {".tif", ".tiff"} else ""
