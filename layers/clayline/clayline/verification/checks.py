"""What is checked: each check's name, what holds where it passes, and how much it weighs (docs/verify.md)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """How much a finding weighs."""

    ERROR = "error"
    """The file cannot be trusted."""
    WARNING = "warning"
    """Somebody should look."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check."""

    name: str
    says: str
    """What holds where it passes."""
    severity: Severity = Severity.ERROR
    """Of its findings, where they say nothing else."""


FILE_CHECKS: Final = (
    Check(name="readable", says="the file is Parquet, within bounds, and every value decodes"),
    Check(name="schema", says="columns, their types and nulls are those of the layout"),
    Check(name="geo-metadata", says="the `geo` header is GeoParquet's: version, WKB, CRS, covering"),
    Check(name="provenance", says="the header says how the file was made, and the columns say the same"),
    Check(name="geometry", says="each footprint is a valid polygon (or point) on the globe"),
    Check(name="boxes", says="`bbox` column and header's extent and types are those of the footprints"),
    Check(name="identifiers-parse", says="each identifier is there and has its grammar"),
    Check(name="identifiers-unique", says="no identifier stands twice"),
    Check(name="identifiers-sorted", says="identifiers ascend"),
    Check(name="identifiers-agree", says="identifier, window, time, instrument and model are one another's"),
    Check(name="windows", says="no chip stands twice, and each `index` is in the grid"),
    Check(name="footprint", says="each footprint is its window under the provenance's transform, to 1 cm"),
    Check(name="cell", says="each cell is that of its window on the lattice"),
    Check(name="tile-grid", says="footprints lie on the pixels of the MGRS tile that they are named after"),
    Check(name="dates", says="times are there, possible, and those of name and provenance"),
    Check(name="values", says="fractions lie in 0 to 1, losses are finite and have their metric"),
    Check(name="vectors-shape", says="every row has a vector, of one length"),
    Check(name="vectors-finite", says="no component is NaN or infinite"),
    Check(name="vectors-constant", says="no vector is zero or of one number alone"),
    Check(name="vectors-distinct", says="no two chips of other pixels have equal vectors"),
    Check(name="vectors-spread", says="components lie within the spread that the model's card states"),
    Check(name="vectors-scale", says="no vector is a thousand times longer or shorter than the median"),
    Check(name="versions", says="one source, model and loss in a file"),
    Check(name="model-digest", says="the model's token and digest are those of a model folder at hand"),
    Check(name="receipt", says="the written chips of the receipt are the rows"),
    Check(name="coverage", says="each window of the grid is a row or accounted for", severity=Severity.WARNING),
    Check(name="companions", says="metadata JSON and STAC Item say the same as the file"),
    Check(name="checksums", says="sizes and checksums that something states are the objects'"),
)
"""Of one file, in the order in which they are told."""
SET_CHECKS: Final = (
    Check(name="set-identifiers", says="no identifier stands in files of two scenes"),
    Check(name="set-models", says="a model's token means one digest, and a folder holds one model"),
    Check(name="set-revisions", says="revisions of a scene follow one another", severity=Severity.WARNING),
    Check(name="set-receipts", says="each file has its receipt, and each receipt its files"),
    Check(name="dataset-index", says="the dataset's index has each newest file, with its rows, size and ETag"),
    Check(name="dataset-files", says="the objects that the manifest names are there, with their size and SHA-256"),
    Check(name="dataset-chips", says="each chip of a compacted scene is in the compact files once, with its vector"),
)
"""Of files together."""
CHECKS: Final = {check.name: check for check in (*FILE_CHECKS, *SET_CHECKS)}
