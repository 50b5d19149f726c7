"""The options of ``clayline search``. Importing this loads nothing heavy: --help and a typo answer at once."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from clayline_cli import arguments
from clayline_cli.asking.examples import FORMS as EXAMPLES
from clayline_cli.asking.examples import add_examples, add_imagery, check_examples, imagery_of
from clayline_cli.asking.options import NEGATIVE, box, time
from clayline_cli.choosing.options import SceneOptions

FORMS: Final = {end: form for form in ("geoparquet", "geojson", "sheet") for end in arguments.ENDINGS[form]}
"""What is written, by how the name ends."""
VALID: Final = 0.9
"""The default of ``clayline.likeness.taking_part``, which loads numpy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchOptions:
    """What a call was told."""

    places: tuple[str, ...]
    profile: str | None
    region: str | None
    like: tuple[str, ...]
    unlike: tuple[str, ...]
    count: int
    bbox: tuple[float, ...] | None
    time: str | None
    model: str | None
    model_folder: Path
    instrument: str | None
    across_instruments: bool
    min_valid: float
    max_cloud: float | None
    max_loss: float | None
    with_examples: bool
    exact: bool
    s3_vectors: str | None
    form: str | None
    out: Path | None
    imagery: SceneOptions
    """How imagery that is an example is found and read."""
    explain: bool
    json: bool
    quiet: bool

    @classmethod
    def of(cls, found: argparse.Namespace) -> Self:
        """Take what the parser found. Raises ArgumentTypeError for options that do not go together."""
        if found.unlike and not found.like:
            arguments.refuse(
                "--unlike says what it is not, and counter-examples alone cannot be asked: give what it is like as"
                f" well, --like {EXAMPLES}"
            )
        if not found.like:
            arguments.refuse(f"say what to look for: --like {EXAMPLES}")
        if found.s3_vectors and (found.out or found.exact or found.explain or len(found.places) > 1):
            arguments.refuse("--s3-vectors goes with one dataset, and with none of --out, --exact, --explain")
        form = getattr(found, "as")
        if found.out is None and form is not None:
            arguments.refuse(f"--as {form} needs --out FILE")
        if found.out is not None and form is None:
            form = FORMS.get(found.out.suffix.lower())
            if form is None:
                arguments.refuse(f"--out {found.out} ends in none of {', '.join(FORMS)}: say --as")
        if form is not None:
            arguments.check_ending("--out", found.out, form)
        check_examples(found.like, found.unlike)
        names = (
            "places", "profile", "region", "like", "unlike", "count", "bbox", "time", "model", "model_folder",
            "instrument", "across_instruments", "min_valid", "max_cloud", "max_loss", "with_examples", "exact", "out",
            "s3_vectors", "explain", "json", "quiet",
        )  # fmt: skip
        values: dict[str, Any] = {name: getattr(found, name) for name in names}
        for name in ("places", "like", "unlike"):
            values[name] = tuple(values[name])
        return cls(**values, form=form, imagery=imagery_of(found))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all of them, in the groups and order in which help tells them."""
    parser._negative_number_matcher = NEGATIVE  # noqa: SLF001 - argparse takes a place in the west for an option
    parser.add_argument(
        "places", nargs="+", metavar="PLACE",
        help="what is looked through: a dataset, a folder or s3://BUCKET/PREFIX of scene files, or scene files",
    )  # fmt: skip
    group = parser.add_argument_group("where")
    arguments.add_reach(group)
    group = parser.add_argument_group("what is looked for")
    add_examples(group)
    group.add_argument(
        "--count", type=arguments.number(int, 1, 100_000), default=10, metavar="N", help="how many chips (default: 10)"
    )
    group = parser.add_argument_group("which chips take part")
    group.add_argument("--bbox", type=box, metavar="W,S,E,N", help="whose footprint meets it; degrees")
    group.add_argument("--time", type=time, metavar="A/B", help="acquired from A to B, .. is open")
    group.add_argument(
        "--model", type=arguments.name, metavar="TOKEN", help="or TOKEN@DIGEST; models are never compared"
    )
    group.add_argument(
        "--instrument",
        type=arguments.name,
        metavar="TOKEN",
        help="of this one, or of all satellites of a family as s2-msi-l2a (default: the examples' families)",
    )
    group.add_argument(
        "--across-instruments", action="store_true", help="compare chips of several families of instruments"
    )
    group.add_argument(
        "--min-valid", type=arguments.fraction, default=VALID, metavar="0..1",
        help="at least so much of the chip is valid (default: 0.9: those that are mostly outside of their scene find"
        " only each other)",
    )  # fmt: skip
    group.add_argument("--max-cloud", type=arguments.fraction, metavar="0..1", help="at most so much is cloud")
    group.add_argument("--max-loss", type=arguments.number(float, 0.0, 1e30), metavar="X", help="at most this loss")
    group.add_argument("--with-examples", action="store_true", help="the examples themselves may be in the answer")
    group.add_argument("--exact", action="store_true", help="read every vector, though there are bits to begin with")
    group.add_argument(
        "--s3-vectors", type=arguments.bucket, metavar="NAME",
        help="ask this vector bucket, into which the scenes of the dataset PLACE were sent;"
        " tested against S3 Vectors' documentation, it never met AWS (docs/vectors.md)",
    )  # fmt: skip
    group = parser.add_argument_group("what comes out")
    group.add_argument(
        "--as", choices=sorted(set(FORMS.values())),
        help="GeoParquet, GeoJSON, or a sheet: the chips themselves, read back from their imagery (default: by FILE)",
    )  # fmt: skip
    group.add_argument("--out", type=Path, metavar="FILE", help="where to write; nothing is overwritten")
    group.add_argument(
        "--explain", action="store_true",
        help="tell also which files were read, what for, and why the others were not, and what that took",
    )  # fmt: skip
    group.add_argument("--json", action="store_true", help="tell the answer as JSON")
    group.add_argument("-q", "--quiet", action="store_true", help="no notices")
    add_imagery(parser)
