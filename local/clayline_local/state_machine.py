"""template.yaml's state machine in moto, which interprets it. Made by whoever wants it: making it takes seconds."""

from botocore.exceptions import ClientError

from clayline_local.clients import local_client
from clayline_local.template import Resource, Stack


def definition(resource: Resource) -> str:
    """Give a state machine's definition in the States Language, as CloudFormation substitutes it."""
    text = str(resource.properties["DefinitionString"])
    for name, value in resource.properties["DefinitionSubstitutions"].items():
        text = text.replace(f"${{{name}}}", value)
    return text


def make_state_machine(stack: Stack, *, endpoint_url: str) -> None:
    """Make the state machine of a stack that is in the moto at ``endpoint_url``, unless it is there."""
    states = local_client("stepfunctions", url=endpoint_url, region=stack.place.region)
    [machine] = stack.of_type("AWS::StepFunctions::StateMachine")
    try:
        states.describe_state_machine(stateMachineArn=machine.physical.ref)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "StateMachineDoesNotExist":
            raise
        states.create_state_machine(
            name=machine.physical.attributes["Name"],
            definition=definition(machine),
            roleArn=machine.properties["RoleArn"],
            type=machine.properties["StateMachineType"],
        )
