"""``clayline local-cloud``: one local cloud, until a signal ends it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from clayline.errors import shown
from clayline.likeness.watch_receipt import MATCHED
from clayline_cli.console import Console
from clayline_cli.errors import CommandError
from clayline_cli.hosting.host_options import HostOptions
from clayline_cli.kept.folder import Kept
from clayline_cli.kept.watches import KeptWatches, line_of
from clayline_local.cloud_file import CloudFile
from clayline_local.dropped import ENDS
from clayline_local.emulation import Emulation
from clayline_local.errors import LocalCloudError
from clayline_local.keeper import ENDPOINT, Keeper
from clayline_local.local_cloud import exports
from clayline_local.model_folder import ModelFolder
from clayline_local.notifier import Faults
from clayline_local.session import Session
from clayline_local.stopping import stoppable


def host(options: HostOptions, console: Console) -> NoReturn:
    """Keep the cloud up and tell each event. Raises Stopped, which is its end, and ClaylineError."""
    with ExitStack() as keep:
        with stoppable():
            model = ModelFolder.read(options.model)
            kept = Kept(options.out)
            keep.enter_context(kept.lock(lambda text: _wait(options.out, text, console)))
        console.notice(f"starting moto_server, the endpoint with model {model}, and a worker a function ...")
        session = keep.enter_context(
            Session(
                model=model.path,
                parameters=options.parameters(chips_per_batch=model.chips_per_batch),
                logs=kept.logs(),
                out=options.out,
                notice=console.notice,
                emulation=Emulation(faults=Faults(drop=options.drop_notifications), supervised=True),
            )
        )
        watches = KeptWatches(kept=kept, session=session, warn=console.warn)
        with stoppable():
            kept.restore(session)
            watches.restore()
        keep.enter_context(_found(session, kept.out))
        _Hosting(options=options, console=console, kept=kept, watches=watches, session=session).run()


def _wait(out: Path, text: str, console: Console) -> None:
    """Say that OUT is somebody else's for now. Raises CommandError if a cloud is up there, which nobody waits out."""
    try:
        up = CloudFile.read(out)
    except LocalCloudError:
        console.notice(text)
        return
    msg = f"a local cloud is already up in {out} (process {up.process}). Use it, end it, or give another --out."
    raise CommandError(msg)


@contextmanager
def _found(session: Session, out: Path) -> Iterator[None]:
    """Let other commands find the cloud for as long as it is up."""
    cloud = CloudFile.of(session)
    (out / ".clayline" / "cloud.env").write_text(f"{exports(cloud.environment)}\n", encoding="utf-8")
    cloud.write(out)
    try:
        yield
    finally:
        cloud.remove(out)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Hosting:
    """What goes on while it is up."""

    options: HostOptions
    console: Console
    kept: Kept
    watches: KeptWatches
    session: Session

    def run(self) -> NoReturn:
        """Look after the processes, and fetch what each event names."""
        keeper = Keeper(self.session, endpoint_down=self.options.endpoint_down, tell=self.console.notice)
        self._welcome()
        while True:
            with stoppable():
                if keeper.look():
                    CloudFile.of(self.session).write(self.kept.out)
                heard = self._heard(keeper)
                drawn = list(self.watches.drawn())
            for path in drawn:
                print(
                    json.dumps({"sheet": path.as_uri()}) if self.options.json else shown(f"drawn: {path}"), flush=True
                )
            for event in heard:
                self._tell(event["detail-type"], event["detail"])

    def _heard(self, keeper: Keeper) -> list[dict[str, Any]]:
        try:
            return list(self.session.announced(wait_seconds=1))
        except (BotoCoreError, ClientError) as error:
            keeper.look()
            raise LocalCloudError(f"the local cloud does not answer ({str(error).rstrip('.')}). Run again.") from error

    def _tell(self, kind: str, detail: Mapping[str, Any]) -> None:
        files: Mapping[str, Path] = {}
        try:
            if kind in ENDS:
                files = self.kept.fetch(self.session, detail)
                self.kept.save(self.session)
            self.watches.fetch()
            if kind == MATCHED:
                self.watches.expect_sheet(detail)
        except CommandError as error:
            self.console.warn(str(error))
        if self.options.json:
            print(json.dumps(detail), flush=True)
        elif kind in ENDS:
            print(shown(_line(detail, files)), flush=True)
        elif kind == MATCHED:
            print(shown(f"{kind}: {detail['scene']}\n  {line_of(detail)}\n  {detail['receipt']}"), flush=True)

    def _welcome(self) -> None:
        out, pid = self.options.out, self.session.children[ENDPOINT].pid
        lines = (
            f"the local cloud is up at {self.session.url}, until Ctrl-C. In another shell:",
            f"  clayline land SCENE... --local {out}",
            f"  clayline status --local {out}",
            f"  kill -9 {pid}     ends the endpoint; it comes back after {self.options.endpoint_down:g} s",
        )
        for line in lines:
            self.console.notice(line)


def _line(detail: Mapping[str, Any], files: Mapping[str, Path]) -> str:
    counts = detail["counts"]
    skipped, failed = (sum(counts[kind].values()) for kind in ("skipped", "failed"))
    why = f"{detail['reason']}: {detail['message']}" if detail["reason"] else ""
    numbers = f"written {counts['written']}, skipped {skipped}, failed {failed}"
    where = files.get("parquet") or files.get("receipt") or ""
    again = "already there: " if detail.get("repeated") else ""
    return "\n  ".join(filter(None, (f"{again}{detail['status']}: {detail['scene']}   {numbers}", why, str(where))))
