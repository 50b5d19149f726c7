"""``clayline doctor``: every check, one after the other, told as it ends."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from clayline.errors import ClaylineError, shown
from clayline_cli.checking.account import NAME as CREDENTIALS
from clayline_cli.checking.account import Account, sign_in
from clayline_cli.checking.check import Check, Status, exit_status
from clayline_cli.checking.deployment import Deployment
from clayline_cli.checking.doctor_options import DoctorOptions
from clayline_cli.checking.endpoint import IMAGE, MODEL, bucket_model, image
from clayline_cli.checking.local_model import local_model
from clayline_cli.checking.permissions import NAME as PERMISSIONS
from clayline_cli.checking.permissions import permissions
from clayline_cli.checking.quotas import CONCURRENCY, ENDPOINT, concurrency, endpoint_quota, memory
from clayline_cli.checking.tools import tools
from clayline_local.repository import ROOT

PARAMETERS = "parameters"
_ASKED = (PERMISSIONS, ENDPOINT, CONCURRENCY, IMAGE, MODEL)
"""Checks for which AWS is asked by a caller who is known."""


def doctor(options: DoctorOptions) -> int:
    """Run the checks; gives the exit status."""
    done = []
    for check in _checks(options):
        done.append(check)
        print(json.dumps(asdict(check)) if options.json else _line(check), flush=True)
    if not options.json:
        counts = Counter(check.status for check in done)
        print(", ".join(f"{counts[status]} {status}" for status in Status if counts[status]))
    return exit_status(done)


def _checks(options: DoctorOptions) -> Iterator[Check]:
    found, deployment = _deployment(options.config_env)
    yield found
    yield from tools(ROOT)
    yield local_model(options.model, deployment.parameter("ModelFolder") if deployment else None)
    if deployment:
        yield memory(deployment)
    if options.offline:
        return
    region = options.region or (deployment.region if deployment else None)
    found, account = sign_in(profile=options.profile, region=region)
    yield found
    if deployment is None or account is None:
        missing = CREDENTIALS if account is None else PARAMETERS
        yield from (
            Check.unknown(name, f"not asked without {missing}", f"Mend the {missing} first.") for name in _ASKED
        )
    else:
        yield from _of_account(account, deployment)


def _of_account(account: Account, deployment: Deployment) -> Iterator[Check]:
    yield permissions(account, deployment)
    yield endpoint_quota(account, deployment)
    yield concurrency(account, deployment)
    yield image(account, deployment)
    yield bucket_model(account, deployment)


def _deployment(config_env: str) -> tuple[Check, Deployment | None]:
    try:
        deployment = Deployment.read(config_env)
    except ClaylineError as error:
        return Check.failed(PARAMETERS, str(error).rstrip("."), "Correct samconfig.toml."), None
    mode = deployment.parameter("EndpointMode")
    said = f"stack {deployment.name}, EndpointMode={mode}, ModelFolder={deployment.parameter('ModelFolder')}"
    return Check.ok(PARAMETERS, said), deployment


def _line(check: Check) -> str:
    told = shown(f"{check.status.value:<8} {check.name}: {check.said}.")
    return f"{told}\n         {shown(check.remedy)}" if check.remedy else told
