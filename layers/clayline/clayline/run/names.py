"""Names: what people call an object that lies in a bucket, where the bucket is no place that they know."""

import json
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import quote

_IN_A_PATH = "/!$&'()*+,;=@~"
"""What stands for itself in a URI's path (RFC 3986, 3.3) beside letters, digits, ``-``, ``.`` and ``_``. A colon may,
but pathlib takes ``/c:`` for a drive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """Prefixes of S3 URIs, and the name that stands for each.

    Without any, as on AWS, every object is called by its URI.
    """

    prefixes: tuple[tuple[str, str], ...] = ()
    """Prefix and name, both up to a slash. A name that begins with ``file:`` is a URI already: percent-encoded."""

    def __post_init__(self) -> None:
        """Refuse what would split a key's part in two, or rename more than buckets. Raises ValueError."""
        for prefix, name in self.prefixes:
            if not (prefix.startswith("s3://") and prefix.endswith("/") and len(prefix) > len("s3:///")):
                msg = f"the prefix {prefix!r} is no s3://BUCKET/ or s3://BUCKET/KEY/"
                raise ValueError(msg)
            if not (name.startswith(("file:///", "s3://")) and name.endswith("/")):
                msg = f"the name {name!r} of {prefix} is no file:///FOLDER/ and no s3://, or does not end in a slash"
                raise ValueError(msg)
        if len(dict(self.prefixes)) < len(self.prefixes):
            msg = "a prefix has two names"
            raise ValueError(msg)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a JSON object of prefix to name; an empty text is none. Raises ValueError."""
        try:
            content = json.loads(text or "{}")
        except RecursionError as error:
            msg = "the JSON is nested too deep"
            raise ValueError(msg) from error
        if not isinstance(content, dict) or not all(isinstance(name, str) for name in content.values()):
            msg = "names are one JSON object, from prefix to name"
            raise ValueError(msg)
        return cls(prefixes=tuple(content.items()))

    def of(self, uri: str) -> str:
        """Give the name of ``s3://bucket/key`` (the key raw): that of the longest prefix, and the rest of the key.

        The rest is percent-encoded in a ``file:`` URI, hardly further than RFC 3986 asks for, and raw in any other.
        Readers that follow the RFC (``Path.from_uri``, urllib) open every ``file:`` URI; GDAL and rasterio do not
        decode, so they open those that need no encoding.
        """
        known = [pair for pair in self.prefixes if uri.startswith(pair[0])]
        prefix, name = max(known, key=lambda pair: len(pair[0]), default=("", ""))
        rest = uri.removeprefix(prefix)
        return name + (quote(rest, safe=_IN_A_PATH, errors="surrogatepass") if name.startswith("file:") else rest)

    def hide(self, bucket: str) -> bool:
        """Say whether nobody knows this bucket: what lies in it goes by other names."""
        return any(prefix.startswith(f"s3://{bucket}/") for prefix, _ in self.prefixes)


AS_THEY_LIE: Final = Names()
"""No other names: every object is called by its URI."""
