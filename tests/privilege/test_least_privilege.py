"""Each role may do what its function does, and nothing else.

Every request of every principal, held against template.yaml.

Two directions. What was asked for must be allowed, else AWS would refuse what the local cloud, which enforces no
policy, lets pass. And what is allowed must have been needed by a request that nothing else allows, or stand below with
the reason why no request here shows it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.conftest import SAMPLE
from tests.privilege.calls import Need, UnknownCallError, needs, operation
from tests.privilege.chain import COARSE, COG, ENDPOINT, PARAMETERS, PUBLISHED, play, recorded, running
from tests.privilege.iam import Grant, allowing, read_policy
from tests.privilege.recorder import Request
from tests.privilege.roles import grants_of, judge, role_of

from clayline_local.cloud import dead_letters
from clayline_local.template import LOCAL_PARAMETERS, TEMPLATE, Stack, expand
from clayline_local.worker import USER_AGENT

pytestmark = pytest.mark.pipeline
FUNCTIONS = (
    "PlanFunction", "TileFunction", "SettleFunction", "CollectFunction", "IndexFunction", "CompactFunction",
    "VectorsFunction", "WatchFunction", "SheetFunction", "ReconcileFunction",
)  # fmt: skip
PRINCIPALS = (*FUNCTIONS, ENDPOINT)
# Of a worker, which polls in the place of Lambda's event source mapping, and not of the mapping.
WORKERS_OWN = {
    "sqs:GetQueueUrl": "a mapping is given the queue's ARN",
    "sqs:ChangeMessageVisibility": "a retry is quicker here; a mapping leaves a failed message to queue and function",
}
_LAMBDA = "Lambda writes the log; here it goes to standard error"
_MAPPING = "the mapping watches its queue; a worker only receives"
_IMAGE = "SageMaker pulls the image; here the container's program is started from its folder"
_MODEL = "SageMaker copies the model folder when an instance starts; here the program is given the folder"
_INSTANCE = "the instance's agent writes the container's log; here it goes to a file"
# Role, Sid, action: why no request here needs it.
REASONS: dict[tuple[str, str, str], str] = {
    **{(role, "WriteLogs", f"logs:{verb}"): _LAMBDA
       for role in (name.replace("Function", "Role") for name in FUNCTIONS)
       for verb in ("CreateLogStream", "PutLogEvents")},
    ("PlanRole", "ReceiveScenes", "sqs:GetQueueAttributes"): _MAPPING,
    ("TileRole", "ReceiveJobs", "sqs:GetQueueAttributes"): _MAPPING,
    ("SettleRole", "ReceiveResults", "sqs:GetQueueAttributes"): _MAPPING,
    ("CollectRole", "ReceiveSettledScenes", "sqs:GetQueueAttributes"): _MAPPING,
    ("IndexRole", "ReceiveEvents", "sqs:GetQueueAttributes"): _MAPPING,
    ("VectorsRole", "ReceiveEvents", "sqs:GetQueueAttributes"): _MAPPING,
    ("WatchRole", "ReceiveEvents", "sqs:GetQueueAttributes"): _MAPPING,
    ("SheetRole", "ReceiveEvents", "sqs:GetQueueAttributes"): _MAPPING,
    ("EndpointRole", "WriteAnswers", "s3:AbortMultipartUpload"):
        "SageMaker uploads large answers in parts; here in one",
    ("EndpointRole", "ReadModels", "s3:GetObject"): _MODEL,
    ("EndpointRole", "ListModelsAndWork", "s3:ListBucket"): _MODEL
    + "; AWS asks for it on the asynchronous endpoint's bucket too",
    ("EndpointRole", "ListModelsAndWork", "s3:GetBucketLocation"):
        "SageMaker finds a bucket's region; here there is one region",
    ("EndpointRole", "PullImage", "ecr:BatchCheckLayerAvailability"): _IMAGE,
    ("EndpointRole", "PullImage", "ecr:BatchGetImage"): _IMAGE,
    ("EndpointRole", "PullImage", "ecr:GetDownloadUrlForLayer"): _IMAGE,
    ("EndpointRole", "SignInToRegistry", "ecr:GetAuthorizationToken"): _IMAGE,
    **{("EndpointRole", "WriteLogs", f"logs:{verb}"): _INSTANCE
       for verb in ("CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents")},
    ("EndpointRole", "PutMetrics", "cloudwatch:PutMetricData"):
        "the instance's agent reports metrics; there is no agent here",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Played:
    """What one run of the pipeline through all situations showed."""

    stack: Stack
    requests: dict[str, tuple[Request, ...]]
    first: dict[str, dict[str, Any]]
    """Receipts before anything was played again."""
    last: dict[str, dict[str, Any]]
    dead: dict[str, int]
    """Messages in dead-letter queues."""

    def grants(self, principal: str) -> tuple[Grant, ...]:
        return grants_of(role_of(self.stack, principal))

    def needed(self, principal: str) -> frozenset[Need]:
        """What the principal needs on AWS; a worker's own calls are left out, on its own queue and nowhere else."""
        function = self.stack.functions().get(principal)
        source = function and function.source  # none: called by the clock, or the endpoint
        return frozenset(
            need
            for request in self.requests[principal]
            for need in needs(request)
            if not (source and need.resource == source.arn and need.action in WORKERS_OWN and _is_worker_s(request))
        )


def _is_worker_s(request: Request) -> bool:
    """Whether the worker made it, and not its function."""
    return USER_AGENT in request.headers.get("user-agent", "")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with running(tmp_path_factory.mktemp("chain"), SAMPLE) as chain:
        first = play(chain)
        yield Played(
            stack=chain.session.stack,
            requests=recorded(chain),
            first=first,
            last=chain.receipts(),
            dead=dead_letters(chain.session.stack, chain.session.sqs),
        )


def test_every_situation_was_met(played: Played) -> None:
    ended = {
        scene: (receipt["status"], receipt["reason"], sorted(receipt["counts"]["failed"]))
        for scene, receipt in played.first.items()
    }
    assert ended == {
        "ordinary": ("ScenePartial", None, ["inference-failed"]),
        "missing": ("SceneFailed", "asset-missing", []),
        "archived": ("ScenePartial", None, ["inference-failed"]),
        "lost": ("SceneFailed", "asset-missing", []),
        PUBLISHED: ("SceneFailed", "asset-missing", []),
        COG: ("SceneEmbedded", None, []),
        COARSE: ("SceneFailed", "wrong-gsd", []),
        "withdrawn": ("SceneFailed", "source-missing", ["source-missing"]),
        "withdrawn-archived": ("SceneFailed", "source-missing", ["source-missing"]),
        "unanswered": ("SceneFailed", "response-missing", ["response-missing"]),
    }
    assert played.first["ordinary"]["counts"]["written"]
    assert set(played.first["ordinary"]["counts"]["skipped"]) == {"nodata", "valid-below-threshold"}
    assert not played.dead


def test_what_landed_again_changed_nothing_or_is_the_next_revision(played: Played) -> None:
    """Chips of ``archived`` had failed; what the COG and ``ordinary`` left, nobody knew of any more."""
    again = {"archived", "ordinary", COG}
    assert {scene for scene in played.first if played.last[scene] != played.first[scene]} == again
    for scene in sorted(again):
        before, after = played.first[scene], played.last[scene]
        assert (after["run"] == before["run"]) is (scene == "ordinary")
        assert after["outputs"]["receipt"] == before["outputs"]["receipt"].replace("_v001_", "_v002_")
        assert (after["status"], after["counts"]) == (before["status"], before["counts"])


def test_every_refused_write_was_looked_into(played: Played) -> None:
    """An object that was there already: whoever writes met it, and asked whose it is."""
    for function, prefixes in {
        "PlanFunction": (
            "/clayline-workbucket/plans/",
            "/clayline-workbucket/items/",
            "/clayline-embeddingsbucket/failed/",
        ),
        "TileFunction": ("/clayline-workbucket/outcomes/",),
        "SettleFunction": ("/clayline-workbucket/settlements/",),
        "CollectFunction": ("/clayline-embeddingsbucket/tiny-v1.0-test/",),
    }.items():
        there = {
            request.target for request in played.requests[function] if (request.method, request.status) == ("PUT", 412)
        }
        heads = {
            request.target for request in played.requests[function] if (request.method, request.status) == ("HEAD", 200)
        }
        assert there <= heads
        assert all(any(target.startswith(prefix) for target in there) for prefix in prefixes), (function, there)


def test_each_consumer_had_a_message_come_sooner(played: Played) -> None:
    """The first call to the ledger, or index's to S3, was refused: the message it was for waits a minute, by its
    function's own call.
    """
    for name, spec in played.stack.functions().items():
        sooner = [request for request in played.requests[name] if _is_sooner(request) and not _is_worker_s(request)]
        assert bool(sooner) is (spec.source is not None), name
        assert all(request.status == 200 for request in sooner)


def _is_sooner(request: Request) -> bool:
    return request.headers.get("x-amz-target") == "AmazonSQS.ChangeMessageVisibilityBatch"


def test_gdal_was_recorded_and_reads_only(played: Played) -> None:
    readers = {}
    for principal, requests in played.requests.items():
        of_gdal = [request for request in requests if request.headers.get("user-agent", "").startswith("GDAL")]
        if of_gdal:
            readers[principal] = {request.method for request in of_gdal}
            assert {need.action for request in of_gdal for need in needs(request)} == {"s3:GetObject"}
    assert set(readers) == {"PlanFunction", "TileFunction", "SheetFunction"}
    assert set().union(*readers.values()) <= {"GET", "HEAD"}


def test_every_function_is_judged() -> None:
    assert set(expand(TEMPLATE, {**LOCAL_PARAMETERS, **PARAMETERS}).functions()) == set(FUNCTIONS)


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_everything_asked_for_is_allowed(played: Played, principal: str) -> None:
    assert played.needed(principal)
    assert not judge(played.grants(principal), played.needed(principal)).refused


def test_everything_allowed_was_needed_or_has_its_reason(played: Played) -> None:
    idle, needed = set(), set()
    for principal in PRINCIPALS:
        grants, role = played.grants(principal), role_of(played.stack, principal).logical_id
        verdict = judge(grants, played.needed(principal))
        idle |= {(role, grant.sid, grant.action) for grant in verdict.idle}
        needed |= {(role, grant.sid, grant.action) for grant in set(grants) - verdict.idle}
    assert idle == set(REASONS)
    assert not needed & set(REASONS), "one of the statement's resources is needed: take the statement apart"


def test_a_wildcard_stands_for_more_than_one_thing(played: Played) -> None:
    """A prefix of which one object is used should be that object's name.

    A partition's wildcard reaches nothing more.
    """
    for principal in PRINCIPALS:
        grants, needed = played.grants(principal), played.needed(principal)
        used = {grant for grant in set(grants) - judge(grants, needed).idle if "*" in grant.resource.split(":", 5)[5]}
        assert used
        for resource in {grant.resource for grant in used}:
            alike = [grant for grant in used if grant.resource == resource]
            met = {
                need.resource
                for need in needed
                if allowing(alike, action=need.action, resource=need.resource, context=dict(need.context))
            }
            assert len(met) > 1, f"{principal}: {resource} was used for {met} alone"


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_without_any_one_grant_something_is_refused(played: Played, principal: str) -> None:
    """The proof can fail: each grant that it calls needed is taken away in turn."""
    grants, needed = played.grants(principal), played.needed(principal)
    used = set(grants) - judge(grants, needed).idle
    assert used
    for gone in used:
        assert judge([grant for grant in grants if grant != gone], needed).refused


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:DeleteObject", "arn:aws:s3:::clayline-workbucket/plans/*"),
        ("dynamodb:Scan", "arn:aws:dynamodb:eu-central-1:123456789012:table/clayline-Ledger"),
        ("s3:GetObject", "arn:aws:s3:::clayline-embeddingsbucket/elsewhere/*"),
        ("sqs:SendMessage", "arn:aws:sqs:eu-central-1:123456789012:clayline-ResultQueue"),
    ],
)
def test_a_grant_too_many_is_found(played: Played, action: str, resource: str) -> None:
    statement = {"Sid": "TooMuch", "Effect": "Allow", "Action": action, "Resource": resource}
    more = read_policy({"Version": "2012-10-17", "Statement": [statement]})
    found = judge((*played.grants("PlanFunction"), *more), played.needed("PlanFunction")).idle
    assert {grant.sid for grant in found} - {sid for _, sid, _ in REASONS} == {"TooMuch"}


def test_a_grant_over_others_makes_them_idle(played: Played) -> None:
    """A wide grant does not hide behind being used: the narrow ones beside it are found instead."""
    statement = {
        "Sid": "TooWide",
        "Effect": "Allow",
        "Action": "s3:*",
        "Resource": "arn:aws:s3:::clayline-workbucket/*",
    }
    wide = read_policy({"Version": "2012-10-17", "Statement": [statement]})
    found = judge((*played.grants("TileFunction"), *wide), played.needed("TileFunction")).idle
    assert {"WriteRequestsAndOutcomes", "ReadPlan", "TooWide"} <= {grant.sid for grant in found}


def test_what_lambda_itself_needs_is_granted(played: Played) -> None:
    """Execution role permissions of an SQS event source mapping and of the runtime (Lambda Developer Guide)."""
    for name, spec in played.stack.functions().items():
        grants = played.grants(name)
        assert (spec.source is None) is (name in {"CompactFunction", "ReconcileFunction"})
        for action in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"):
            assert spec.source is None or allowing(grants, action=action, resource=spec.source.arn), (name, action)
        group = played.stack.resources[name].properties["LoggingConfig"]["LogGroup"]
        stream = f"arn:aws:logs:eu-central-1:123456789012:log-group:{group}:log-stream:2026/01/01/[$LATEST]0"
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            assert allowing(grants, action=action, resource=stream), (name, action)


def test_no_call_is_unknown(played: Played) -> None:
    """Each request is one whose needs are known, and every service that the stack has for its functions was met."""
    met = set()
    for principal, requests in played.requests.items():
        for request in requests:
            met |= {(principal, need.action.partition(":")[0]) for need in needs(request)}
    assert {service for _, service in met} == {"s3", "sqs", "dynamodb", "events", "sagemaker", "sns", "s3vectors"}
    with pytest.raises(UnknownCallError):
        operation(Request(method="GET", target="/", headers={}, body=b"", status=200))
