"""The quiet run: what the same plan gives where nothing goes wrong."""

from tests.faults.entrances import KEPT, WORK
from tests.faults.imagery import SCENES
from tests.faults.model import Model
from tests.faults.profile import CALM
from tests.faults.world import World

from clayline.run.keys import WorkObjects
from clayline.run.plan import Plan


def quiet_outputs(world: World, plan: Plan, model: Model) -> dict[str, bytes]:
    """Land what ``plan`` pinned in a new world at the moment when it was made, and give every output."""
    quiet = World(CALM, seed=plan.run, models=(model,), table=world.table, scratch=world.scratch, planned=plan.created)
    for band in plan.bands:
        quiet.storage.put(band.uri, world.storage.versions[band.etag])
    key = (plan.model.entry.token, plan.scene.hash)
    quiet.ledger.revisions[key] = [f"before {number}" for number in range(1, plan.revision)]
    before = plan.predecessor
    while before:
        quiet.ledger.runs[before] = world.ledger.runs[before]
        stored = world.storage.get(WorkObjects(bucket=WORK, run=before).plan)
        before = Plan.model_validate_json(stored).predecessor
    if plan.carried:
        for pinned in filter(None, (plan.carried.receipt, plan.carried.parquet)):
            quiet.storage.objects[pinned.uri] = world.storage.objects[pinned.uri]
    assert plan.landed_uri is not None
    landed = world.storage.versions[plan.scene.etag]
    if plan.landed_uri.startswith(KEPT):
        quiet.entrances.publish(landed)
    else:
        quiet.entrances.land(plan.landed_uri.removeprefix(f"s3://{SCENES}/"), landed)
    quiet.run()
    assert plan.run in quiet.ledger.runs, "the quiet run is about another run"
    outputs = plan.outputs
    uris = (outputs.parquet, outputs.metadata, outputs.item, outputs.receipt)
    return {uri: found.body for uri in uris if (found := quiet.storage.find(uri))}
