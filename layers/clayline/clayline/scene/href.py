"""hrefs of STAC Items: which object of S3 one names, in whatever form S3 has for it.

Relative to the Item, ``s3://``, and https as the S3 User Guide lists it: virtual-hosted and path style, with and
without a region, the old ``s3-REGION``, dual-stack and accelerated endpoints. What is read later is always
``s3://bucket/key``, with credentials of our own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from clayline.errors import SceneError
from clayline.place import Option
from clayline.run.names import AS_THEY_LIE, Names

MAX_QUOTED: Final = 300
"""Characters of an href in a message."""
MAX_RECORDED: Final = 2_048
"""Characters of an href in a record."""
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_URL: Final = re.compile(
    r"(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?", re.DOTALL
)
_REGION: Final = r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]+"
_ENDPOINT: Final = re.compile(
    rf"(?:(?P<bucket>.+)\.)?(?:s3[.-](?P<region>{_REGION})|s3\.dualstack\.(?P<dual>{_REGION})|s3-external-1"
    r"|s3-accelerate(?:\.dualstack)?|s3)\.amazonaws\.com(?P<china>\.cn)?"
)
_OTHER_ENDPOINTS: Final[Mapping[str, str]] = {
    "s3-accesspoint": "an access point",
    "accesspoint": "an access point of several regions",
    "s3-object-lambda": "an Object Lambda access point",
    "s3-outposts": "an S3 on Outposts endpoint",
    "s3-fips": "a FIPS endpoint",
    "s3-website": "a website endpoint",
    "s3express": "a directory bucket's endpoint",
    "s3-control": "the endpoint that administers S3",
}
"""Label of a host under amazonaws.com that is S3's and names no bucket, or asks for what a plain read is not."""
_SIGNATURE: Final = re.compile(r"(?i)x-amz-(?!version).*|awsaccesskeyid|signature|expires|x-id|response-.*")
"""Query parameters that say who may read, or what the answer's headers shall be: neither names another object."""
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_USER: Final = re.compile(r"//[^/?#]*@")
_AFTER_PATH: Final = re.compile(r"(?s)\?.+")
_DOTS: Final = {".", ".."}
_HTTPS_PORTS: Final = {"", ":", ":443"}
_MAX_HOST: Final = 100
_NOT_ENCODED: Final = "is not percent-encoded UTF-8: write %25 for a % in the key"


class S3Object(NamedTuple):
    """An object of S3."""

    bucket: str
    key: str
    """Raw."""

    @property
    def uri(self) -> str:
        """``s3://bucket/key``, the key raw."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """The href of an asset that is followed."""

    uri: str
    """``s3://bucket/key`` in an allowed bucket."""
    alternate: str | None
    """Its name among the asset's alternates; None for the asset's own href."""


def locate(href: str, base: str) -> S3Object | str:
    """Give the object that an href of an Item at ``base`` (``s3://bucket/key``, or empty) names, or why it names none.

    A relative href and an ``s3://`` URI are raw: nothing is decoded, ``?`` and ``#`` belong to the key. The path of an
    https URL is percent-decoded once. A presigned URL names its object without the signature.
    """
    scheme = _SCHEME.match(href)
    if scheme is None:
        return _relative(href, base)
    rest = href[scheme.end() :]
    match scheme[1].lower():
        case "s3" if rest.startswith("//"):
            return _of_s3(rest.removeprefix("//"))
        case "https" if rest.startswith("//"):
            return _of_https(rest.removeprefix("//"))
        case "http":
            return "is http, which is not read: write https://"
        case other:
            return f"is no place in S3 but {other}:"


def follow(href: str, base: str, *, allowed: frozenset[str]) -> S3Object | str:
    """Give the object in an allowed bucket that an href names, or why it is not opened."""
    found = locate(href, base)
    if isinstance(found, S3Object) and found.bucket not in allowed:
        return "is not in an allowed bucket"
    return found


def choose(
    asset: Mapping[str, object], base: str, *, scene: str, allowed: frozenset[str], names: Names = AS_THEY_LIE
) -> Chosen:
    """Choose the href of an asset: its own if that may be opened, else its alternate (alternate-assets extension).

    Raises SceneError: ``forbidden-href`` if none may be opened, ``ambiguous-href`` if alternates name several objects.
    """
    href = str(asset["href"])
    own = follow(href, base, allowed=allowed)
    if isinstance(own, S3Object):
        return Chosen(uri=own.uri, alternate=None)
    alternates = _alternates(asset)
    reached = {
        name: found.uri
        for name, other in alternates.items()
        if isinstance(found := follow(other, base, allowed=allowed), S3Object)
    }
    if len(set(reached.values())) > 1:
        listed = " and ".join(f"{name!r} ({quoted(uri)})" for name, uri in list(reached.items())[:2])
        msg = (
            f"scene {scene}: the asset at {quoted(href)!r} has alternates {listed} that may both be opened and are not"
            " one object. Leave one of them in the Item, or make it the asset's own href."
        )
        raise SceneError(msg, reason="ambiguous-href")
    for name, uri in reached.items():
        return Chosen(uri=uri, alternate=name)
    known_buckets = ", ".join(name for name in sorted(allowed) if not names.hide(name))
    listed = f" (allowed: {known_buckets})" if known_buckets else ""
    others = "".join(
        f"; its alternate {name!r}, {quoted(other)!r}, {follow(other, base, allowed=allowed)}"
        for name, other in list(alternates.items())[:2]
    )
    msg = f"scene {scene}: asset {quoted(href)!r} {own}{others}{listed}. {Option.ALLOW_BUCKET}"
    raise SceneError(msg, reason="forbidden-href")


def quoted(href: str, most: int = MAX_QUOTED) -> str:
    """Give an href as a message or a record may show it: bounded, without a password, a signature or a token."""
    shown = href if href.lower().startswith("s3:") else _AFTER_PATH.sub("?...", _USER.sub("//", href))
    return shown if len(shown) <= most else f"{shown[: most - len('...')]}..."


def _alternates(asset: Mapping[str, object]) -> dict[str, str]:
    declared = asset.get("alternate")
    if not isinstance(declared, dict):
        return {}
    found = {name: other.get("href") for name, other in declared.items() if isinstance(other, dict)}
    return {name: href for name, href in found.items() if isinstance(href, str)}


def _relative(href: str, base: str) -> S3Object | str:
    if href.startswith("/"):
        return "is a path of a machine, not relative to the Item"
    bucket, _, own = base.removeprefix("s3://").partition("/")
    if not bucket:
        return "is relative, and the Item has no place in S3 (a published one: no self link there)"
    segments = own.split("/")[:-1]  # by hand: posixpath would fold the empty segments that a key may have
    for segment in href.split("/"):
        if segment == "..":
            if not segments:
                return "leads out of the Item's bucket"
            segments.pop()
        elif segment != ".":
            segments.append(segment)
    return _object(bucket, "/".join(segments))


def _of_s3(rest: str) -> S3Object | str:
    bucket, _, key = rest.partition("/")
    if bucket.startswith("arn:"):
        return "goes by an access point, which is not supported: name the bucket"
    return _object(bucket, key)


def _of_https(rest: str) -> S3Object | str:
    """Read what follows ``https://``."""
    parts = _URL.fullmatch(rest)
    if parts is None or _CONTROL.search(rest):
        return "is no URL"
    host, colon, port = parts["authority"].lower().partition(":")
    endpoint = _ENDPOINT.fullmatch(host)
    if "@" in parts["authority"]:
        return "names a user, which S3 has not"
    if endpoint is None:
        return _elsewhere(host)
    complaint = _query(parts["query"] or "")
    if colon + port not in _HTTPS_PORTS:
        complaint = f"asks for port {port[:_MAX_HOST]!r}: S3 is at 443"
    elif parts["fragment"] is not None:
        complaint = "has a fragment (#...), which names no object: write %23 for a # in the key"
    return complaint or _of_path(endpoint["bucket"], parts["path"].removeprefix("/"))


def _of_path(bucket: str | None, path: str) -> S3Object | str:
    """Read the path of a URL of S3, whose first part is the bucket unless the host said it."""
    if bucket is None:
        bucket, _, path = path.partition("/")  # before decoding: %2F ends no bucket's name
    if _BAD_PERCENT.search(path):
        return _NOT_ENCODED
    try:
        return _object(bucket, unquote_to_bytes(path).decode())
    except UnicodeError:
        return _NOT_ENCODED


def _elsewhere(host: str) -> str:
    """Say what a host is that names no bucket."""
    if host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        labels = host.split(".")
        for label, kind in _OTHER_ENDPOINTS.items():
            if any(part == label or part.startswith(f"{label}-") for part in labels):
                return f"goes by {kind} of S3 ({host[:_MAX_HOST]}), which is not supported: name the bucket"
    return f"is on the host {host[:_MAX_HOST]!r}, not in S3"


def _query(query: str) -> str | None:
    """Say which parameter of a query names something else than the object as it is now."""
    for name, _ in parse_qsl(query, keep_blank_values=True, errors="replace"):
        if name.lower() == "versionid":
            return "names a version of its object, and only the current one is read: leave ?versionId out"
        if not _SIGNATURE.fullmatch(name):
            return f"has a query ({name[:_MAX_HOST]!r}) that names no plain object: leave it out"
    return None


def _object(bucket: str, key: str) -> S3Object | str:
    if not bucket or not key:
        return "names no object: a bucket or a key is missing"
    if _DOTS.intersection(key.split("/")):  # HTTP clients fold dots, into another bucket
        return "has a part . or .. in its key, which HTTP clients resolve to another key"
    return S3Object(bucket, key)
