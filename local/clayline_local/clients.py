"""boto3 on the local cloud, whatever the user's own AWS is set up to: no profile, no configuration file, no proxy."""

import os
from typing import Any, Final

import boto3
import botocore.session
from botocore.config import Config

from clayline_local.children import CREDENTIALS

# Name in the configuration file, variable of the environment, value, conversion: of the user's own, nothing is looked
# at.
_NOTHING_OF_THE_USERS: Final = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


def local_session(region: str) -> boto3.Session:
    """Give a session whose clients reach this machine alone; its credentials are made up."""
    core = botocore.session.Session(session_vars=_NOTHING_OF_THE_USERS)
    core.set_default_client_config(Config(proxies={}))
    return boto3.Session(
        botocore_session=core,
        region_name=region,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=CREDENTIALS["AWS_SESSION_TOKEN"],
    )


def local_client(service: str, *, url: str, region: str) -> Any:  # noqa: ANN401 - boto3's clients are generated from names
    """Give a client of what answers at ``url``."""
    return local_session(region).client(service, endpoint_url=url)  # type: ignore[call-overload]
