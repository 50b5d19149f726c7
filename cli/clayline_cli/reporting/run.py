"""A file of embeddings becomes a page."""

from collections.abc import Sequence
from pathlib import Path

from clayline_cli.console import Console
from clayline_cli.errors import CommandError
from clayline_cli.picture.placing import place
from clayline_cli.reporting.content import content
from clayline_cli.reporting.imagery import Files, changed_since, draw, files_here
from clayline_cli.reporting.page import render
from clayline_cli.reporting.report_options import ReportOptions
from clayline_cli.reporting.scene_chips import SceneChips
from clayline_cli.reporting.vectors import page_vectors
from clayline_local.repository import STARTER
from clayline_local.stopping import temporary_folder


def report(options: ReportOptions, console: Console) -> int:
    """Make the page and tell where it is. Raises ClaylineError, OSError."""
    if options.page.exists():
        raise CommandError(f"{options.page} is there already, and nothing is overwritten. Name another with --out")
    if options.page.parent != options.file.parent and not options.page.absolute().parent.is_dir():
        msg = f"--out {options.page}: there is no folder {options.page.absolute().parent}. Make it first."
        raise CommandError(msg)
    chips = SceneChips.read(options.file)
    files = files_here(chips.provenance, options.assets)
    changed = changed_since(chips.provenance, files)
    for notice in write(chips, files, [*options.models, STARTER], options.page, changed=changed):
        console.notice(notice)
    print(options.page)
    return 0


def write(
    chips: SceneChips, files: Files, models: Sequence[Path], page: Path, *, changed: str | None = None
) -> tuple[str, ...]:
    """Write the page; gives what is to be said of its picture: that there is none, and why; or that it is ``changed``.

    ``models`` are model folders, of which one may say what to centre by. Raises CommandError if the page's name is
    taken, ModelError for statistics that cannot be used, and OSError.
    """
    imagery = draw(chips, files, changed=changed)
    vectors = page_vectors(chips, models)
    text = render(content(chips, imagery, vectors), imagery, vectors)
    with temporary_folder(".report-", within=page.parent) as folder:
        finished = folder / "page.html"
        finished.write_text(text, encoding="utf-8")
        if not place(finished, page):
            raise CommandError(f"{page} is there already, and nothing is overwritten. Name another with --out")
    return tuple(said for said in (imagery.missing, imagery.changed) if said)
