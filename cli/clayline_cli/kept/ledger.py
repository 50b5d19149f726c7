"""``OUT/.clayline/ledger.json``: finished runs, where their outputs lie under OUT, and every scene's revisions."""

import json
import os
import re
import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from clayline_cli.errors import CommandError

FORMAT: Final = "clayline-kept/2"
_TAKEN: Final = ""
"""A place in a list of runs that is nobody's any more, and is not given again: as the ledger has it."""
_OUTPUT: Final = re.compile(r"[0-9A-Z]{2,5}_\d{8}_\d{8}_v(\d{3,4})(?:\.parquet|\.json|_metadata\.json|_receipt\.json)")
_HASH: Final = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptRun:
    """A run that was finished, and whose outputs were delivered."""

    row: Mapping[str, Any]
    """The ledger's, as DynamoDB types it."""
    outputs: Mapping[str, str]
    """Keys in the embeddings bucket, which are paths under OUT, by kind."""

    @property
    def failed(self) -> bool:
        """Whether chips of it failed."""
        return bool(self.row.get("outcome", {}).get("M", {}).get("failed", {}).get("BOOL"))

    def is_whole(self, out: Path, run: str) -> bool:
        """Tell whether every output is still where it was delivered, and the receipt is this run's."""
        try:
            receipt = json.loads((out / self.outputs["receipt"]).read_bytes())
        except (OSError, ValueError, KeyError):
            return False
        return (
            isinstance(receipt, dict)
            and receipt.get("run") == run
            and all((out / key).is_file() for key in self.outputs.values())
        )


@dataclass(kw_only=True, slots=True)
class KeptLedger:
    """What the file holds."""

    runs: dict[str, KeptRun] = field(default_factory=dict)
    scenes: dict[str, list[str]] = field(default_factory=dict)
    """Runs by revision, of each ``scene#TOKEN#SCENE12``."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file; without one, nothing is kept. Raises CommandError if it is damaged or of another format."""
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError:
            return cls()
        except OSError as error:
            msg = f"{path} cannot be read ({error.strerror}). Check its permissions."
            raise CommandError(msg) from error
        except (ValueError, RecursionError) as error:
            raise CommandError(_damaged(path, str(error))) from error
        found = content.get("format") if isinstance(content, dict) else None
        if isinstance(found, str) and found.startswith("clayline-kept/") and found != FORMAT:
            msg = f"{path} is of another version of Clayline ({found}, not {FORMAT}). Use that one, or another --out."
            raise CommandError(msg)
        try:
            return cls._checked(content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CommandError(_damaged(path, f"{type(error).__name__} {error}")) from error

    @classmethod
    def _checked(cls, content: Mapping[str, Any]) -> Self:
        if content["format"] != FORMAT:
            msg = f"format {content['format']!r}"
            raise ValueError(msg)
        runs = {
            run: KeptRun(row=dict(entry["row"]), outputs=dict(entry["outputs"]))
            for run, entry in content["runs"].items()
        }
        for run, entry in runs.items():
            if entry.row["pk"] != {"S": f"run#{run}"} or entry.row["sk"] != {"S": "scene"}:
                msg = f"the row of run {run} is another's"
                raise ValueError(msg)
            for key in entry.outputs.values():
                inside(Path(), key)
        scenes = {pk: [str(run) for run in listed] for pk, listed in content["scenes"].items()}
        if not all(isinstance(listed, list) for listed in content["scenes"].values()):
            msg = "revisions that are no list"
            raise ValueError(msg)
        return cls(runs=runs, scenes=scenes)

    def write(self, path: Path) -> None:
        """Replace the file in one step. Raises OSError."""
        content = {
            "format": FORMAT,
            "runs": {run: {"row": dict(entry.row), "outputs": dict(entry.outputs)} for run, entry in self.runs.items()},
            "scenes": self.scenes,
        }
        part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        try:
            with part.open("x", encoding="utf-8") as stream:
                json.dump(content, stream, indent=1)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def whole(self, out: Path) -> dict[str, KeptRun]:
        """Give the runs whose outputs are all still there."""
        return {run: entry for run, entry in self.runs.items() if entry.is_whole(out, run)}

    def revisions(self, out: Path, whole: Mapping[str, KeptRun]) -> dict[str, list[str]]:
        """Give each scene's revisions such that none is given again that was delivered, or that a file under OUT has.

        A run without its outputs loses its place, which stays taken: computed again, it is the next revision.
        """
        found = _revisions_in(out)
        given = {}
        for pk in sorted({*self.scenes, *found}):
            listed, seen = self.scenes.get(pk, []), found.get(pk, set())
            given[pk] = [
                run if run in whole or (run not in self.runs and number not in seen) else _TAKEN
                for number, run in enumerate(listed, start=1)
            ]
            given[pk] += [_TAKEN] * (max(seen, default=0) - len(listed))
        return given


def inside(out: Path, key: str) -> Path:
    """Give the path of a key under OUT. Raises ValueError if it leads out of it."""
    parts = key.split("/")
    if not key or any(part in {"", ".", ".."} for part in parts) or "\0" in key:
        msg = f"the key {key!r} is no path under a folder"
        raise ValueError(msg)
    return out.joinpath(*parts)


def _revisions_in(out: Path) -> dict[str, set[int]]:
    """Find the revisions that files under OUT have in their names, by scene."""
    found: dict[str, set[int]] = defaultdict(set)
    for path in out.glob("*/*/*_v*"):
        name = _OUTPUT.fullmatch(path.name)
        if name and _HASH.fullmatch(path.parent.name):
            found[f"scene#{path.parent.parent.name}#{path.parent.name}"].add(int(name[1]))
    return found


def _damaged(path: Path, why: str) -> str:
    return (
        f"{path} is damaged ({why}). Move it away: what is finished stays as it is, "
        "and a scene that is given again becomes its next revision."
    )
