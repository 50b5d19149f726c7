"""``clayline verify``: each file, then all together."""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from clayline.errors import ClaylineError, TableError, shown
from clayline.model.manifest import MANIFEST_FILE, digest_of
from clayline.model.statistics import STATISTICS_FILE, FolderStatistics, read_statistics
from clayline.raster.projection import from_lonlat, to_lonlat
from clayline.run.receipt import Receipt
from clayline.table.inspected import InspectedTable
from clayline.verification.accounts import Companions
from clayline.verification.checks import Severity
from clayline.verification.datasets import Chips
from clayline.verification.files import Circumstances, FileVerdict, FileVerification, KnownModel, unreadable
from clayline.verification.rows import Rows
from clayline.verification.sets import FilesTogether
from clayline.verification.sightings import Sightings
from clayline_cli.console import Console
from clayline_cli.errors import CommandError
from clayline_cli.verifying import telling
from clayline_cli.verifying.dataset import Dataset, is_dataset
from clayline_cli.verifying.places import TABLES, Place, place
from clayline_cli.verifying.verify_options import VerifyOptions
from clayline_local.model_folder import ModelFolder
from clayline_local.repository import STARTER

_RECEIPT: Final = "_receipt.json"
_DATASET: Final = "/dataset/"


@dataclass(kw_only=True, slots=True)
class _Count:
    """What was found so far."""

    files: int = 0
    rows: int = 0
    wrong: int = 0
    doubtful: int = 0


def verify(options: VerifyOptions, console: Console) -> int:
    """Check and tell; gives the exit status. Raises ClaylineError."""
    where = place(options)
    names = where.names
    tables = [name for name in names if name.lower().endswith(TABLES) and _DATASET not in name]
    single = len(names) == 1 and not tables
    if single:
        tables = list(names)
    if not tables:
        raise CommandError(f"{options.target} holds no file of embeddings ({', '.join(TABLES)}). Check the path.")
    by = Circumstances(project=to_lonlat, back=from_lonlat, now=dt.datetime.now(dt.UTC), models=known(options.models))
    together, counted = FilesTogether(), _Count()
    dataset = Dataset(where, names) if is_dataset(names) else None
    newest: dict[str, tuple[str, int]] = {}
    several = len(names) > 1
    with Sightings() as ids, Sightings() as seen:
        chips = Chips(seen)
        for number, name in enumerate(tables, start=1):
            took = _nothing
            if dataset is not None and dataset.is_compacted(name):
                took = partial(chips.add, name=name, compact=False)
            verdict = check_file(
                where, name, by, console=console, ids=ids, together=together, of=f"{number} of {len(tables)}", took=took
            )
            together.add(verdict)
            newest[name.rpartition("/")[0]] = (name, verdict.rows)  # names of a scene ascend with its revisions
            _count(counted, verdict)
            console.end()
            told = json.dumps(telling.values(verdict)) if options.json else shown(telling.paragraph(verdict))
            print(told, flush=True)
        if several:
            _lonely_receipts(where, names, together)
            together.end(ids, other=[] if dataset else ["there is no dataset under this prefix"])
            if dataset:
                dataset.end({dataset.key(name): rows for name, rows in newest.values()}, chips, together.outcomes)
        own = counted.wrong
        if several:
            _count_together(counted, together)
    if options.json:
        print(
            json.dumps(
                telling.together(together, counted.files, counted.rows, wrong=counted.wrong > 0, several=several)
            ),
            flush=True,
        )
    elif several:
        print(shown(telling.all_files(together, counted.files, counted.rows, wrong=own)), flush=True)
    return 1 if counted.wrong or (options.strict and counted.doubtful) else 0


def known(folders: Sequence[Path]) -> Mapping[str, KnownModel]:
    """Read the entries of model folders by token, the bundled starter's first. Raises ClaylineError."""
    found: dict[str, KnownModel] = {}
    for folder in (*([STARTER] if (STARTER / MANIFEST_FILE).is_file() else []), *folders):
        manifest = ModelFolder.read(folder).manifest
        statistics = _statistics(folder, manifest.statistics)
        for entry in manifest.entries:
            spread = statistics.of(entry.token, entry.digest) if statistics else None
            found[entry.token] = KnownModel(digest=entry.digest, statistics=spread)
    return found


def check_file(
    where: Place, name: str, by: Circumstances, *, console: Console, ids: Sightings, together: FilesTogether, of: str,
    took: Callable[[Rows], None],
) -> FileVerdict:  # fmt: skip
    """Check one file; ``took`` is given its rows. Raises CommandError where S3 does not let it be read."""
    with where.open(name) as lent:
        try:
            with InspectedTable(lent) as table:
                checking = FileVerification(name, table, _beside(where, name), by)
                number = together.number(name, ours=checking.layout.ours)
                for done in checking.run(ids, number=number, took=took):
                    console.step(f"{of} files, {done:,} of {table.count:,} rows: {name.rpartition('/')[2]}")
                return checking.verdict()
        except TableError as error:
            return unreadable(name, str(error), size=lent.size)


def _nothing(_: Rows) -> None:
    """Take rows of which nobody asks."""


def _statistics(folder: Path, digest: str | None) -> FolderStatistics | None:
    """Read what a folder states of its vectors; None where it states nothing. Raises ClaylineError."""
    path = folder / STATISTICS_FILE
    if digest is None:
        return None
    try:
        with path.open("rb") as stream:
            found = digest_of(stream)
        if found != digest:
            raise CommandError(f"{path} is not what the manifest lists: {found}. Export or measure it again.")
        return read_statistics(path.read_bytes(), source=str(path))
    except OSError as error:
        raise CommandError(f"{path} cannot be read ({error.strerror}), but the manifest lists it.") from error


def _beside(where: Place, name: str) -> Companions:
    stem = name.rpartition(".")[0]
    trouble: dict[str, str] = {}
    bodies: dict[str, bytes | None] = {}
    for role, ending in (("receipt", _RECEIPT), ("metadata", "_metadata.json"), ("item", ".json")):
        try:
            bodies[role] = where.beside(f"{stem}{ending}")
        except (CommandError, OSError) as error:
            bodies[role], trouble[role] = None, f"the {role} was not read: {error}"[:300]
    return Companions(**bodies, trouble=trouble)


def _lonely_receipts(where: Place, names: Sequence[str], together: FilesTogether) -> None:
    there = set(names)
    for name in names:
        if name.endswith(_RECEIPT) and not any(f"{name.removesuffix(_RECEIPT)}{end}" in there for end in TABLES):
            with suppress(ValidationError, ClaylineError):  # what cannot be read as a receipt accounts for no file
                body = where.beside(name)
                if body is not None:
                    together.add_receipt(name, Receipt.model_validate_json(body))


def _count(counted: _Count, verdict: FileVerdict) -> None:
    counted.files += 1
    counted.rows += verdict.rows
    counted.wrong += verdict.outcomes.is_wrong
    counted.doubtful += any(outcome.result == "warning" for outcome in verdict.outcomes)


def _count_together(counted: _Count, together: FilesTogether) -> None:
    found = [finding for outcome in together.outcomes for finding in outcome.findings]
    counted.wrong += any(finding.severity is Severity.ERROR for finding in found)
    counted.doubtful += bool(found)
