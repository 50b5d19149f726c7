"""Quotas that a deployment meets: instances of the endpoint's type, calls of functions side by side, their memory."""

from typing import Any, Final

from clayline_cli.checking.account import Account, asked
from clayline_cli.checking.check import Check
from clayline_cli.checking.deployment import Deployment

ENDPOINT: Final = "quota of the endpoint"
CONCURRENCY: Final = "Lambda's concurrency"
MEMORY: Final = "Lambda's memory"
EVERY_ACCOUNT_MB: Final = 3_008
"""That functions of every account may have; new accounts may be held to it."""
_CONSOLE: Final = "Ask for more: aws service-quotas request-service-quota-increase --service-code sagemaker"


def endpoint_quota(account: Account, deployment: Deployment) -> Check:
    """Compare the quota of the instance type for endpoints with MaxInstances."""
    return asked(
        ENDPOINT, "servicequotas:ListServiceQuotas, ListAWSDefaultServiceQuotas", lambda: _endpoint(account, deployment)
    )


def _endpoint(account: Account, deployment: Deployment) -> Check:
    instance, most = deployment.parameter("InstanceType"), int(deployment.parameter("MaxInstances"))
    wanted = f"{instance} for endpoint usage"
    client = account.client("service-quotas")
    found = _quota(client, "list_service_quotas", wanted) or _quota(client, "list_aws_default_service_quotas", wanted)
    if found is None:
        return Check.unknown(
            ENDPOINT,
            f"Service Quotas has none of the name {wanted!r} in {account.region}",
            "Look whether the region has this instance type, or choose another InstanceType.",
        )
    allowed, remedy = int(found["Value"]), f"{_CONSOLE} --quota-code {found['QuotaCode']} --desired-value {most}."
    said = f"{allowed} of {instance}, and MaxInstances is {most}"
    if allowed >= most:
        return Check.ok(ENDPOINT, said)
    if allowed == 0 and deployment.makes_endpoint:
        return Check.failed(ENDPOINT, said, remedy)
    if deployment.parameter("EndpointMode") == "existing":
        return Check.ok(ENDPOINT, f"{said}; the endpoint is made elsewhere")
    return Check.warning(ENDPOINT, said, remedy)


def _quota(client: Any, operation: str, name: str) -> dict[str, Any] | None:  # noqa: ANN401 - boto3's clients are generated
    """Give a quota by its name: some quotas have only a default, which another operation tells."""
    for page in client.get_paginator(operation).paginate(ServiceCode="sagemaker"):
        for quota in page["Quotas"]:
            if quota["QuotaName"] == name:
                return dict(quota)
    return None


def concurrency(account: Account, deployment: Deployment) -> Check:
    """Compare the account's limit of calls side by side with what the queues may start."""
    return asked(CONCURRENCY, "lambda:GetAccountSettings", lambda: _concurrency(account, deployment))


def _concurrency(account: Account, deployment: Deployment) -> Check:
    limit = account.client("lambda").get_account_settings()["AccountLimit"]
    free = int(limit["UnreservedConcurrentExecutions"])
    wanted = sum(
        int(mapping.properties["ScalingConfig"]["MaximumConcurrency"])
        for mapping in deployment.stack.of_type("AWS::Lambda::EventSourceMapping")
        if "ScalingConfig" in mapping.properties
    )
    said = f"{free} calls of {limit['ConcurrentExecutions']} are free, and the queues start up to {wanted}"
    if free >= wanted:
        return Check.ok(CONCURRENCY, said)
    return Check.warning(
        CONCURRENCY, said, "Scenes wait for each other; lower TileConcurrency, or ask for more (quota L-B99A9384)."
    )


def memory(deployment: Deployment) -> Check:
    """Say whether every account takes the functions' memory: what a new account is held to, no API tells."""
    sizes = {name.removesuffix("Function").lower(): each.memory for name, each in deployment.stack.functions().items()}
    large = {name: size for name, size in sizes.items() if size > EVERY_ACCOUNT_MB}
    if not large:
        return Check.ok(MEMORY, f"at most {max(sizes.values())} MB, which every account takes")
    listed = ", ".join(f"{name} {size} MB" for name, size in sorted(large.items()))
    return Check.unknown(
        MEMORY,
        f"{listed}; new accounts may be held to {EVERY_ACCOUNT_MB} MB, and no API tells",
        f"Set TileMemory, PlanMemory, CollectMemory and CompactMemory to at most {EVERY_ACCOUNT_MB}, if the deployment"
        " refuses it.",
    )
