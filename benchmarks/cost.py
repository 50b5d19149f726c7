"""What embedding costs.

Dollars per million chips and per Sentinel-2 scene by instance type, and what a scene costs beside it.

`benchmarks/cost.py` prints a line of JSON a row, `--markdown` the tables of docs/cost.md, `--write` puts them there.
Nothing is measured here: it is arithmetic over the numbers below, each with where it comes from. After a measurement
put its number in and run `--write`; a test holds the page to the program.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.clay_operations import chip_operations

from clay.architecture import ARCHITECTURES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/cost.md"
BEGIN, END = "<!-- begin: benchmarks/cost.py --markdown -->", "<!-- end -->"
SCENE_CHIPS = 1849
"""A Sentinel-2 tile of 10980 px in chips of 256 px, edges included."""
BANDS, CHIP = 10, 256
MILLION = 1_000_000

# --- throughput ----------------------------------------------------------------------------------------------------
MATMUL_OF_PEAK = 798 / 989
"""Matmul rate over datasheet peak, assumed for every GPU: others noted 798 TFLOP/s on one H100 (PyTorch, bf16, 8192
cubed). Not ours."""
SHARE_OF_MATMUL = 0.55
"""The goal for `large` fp16; not measured yet. benchmarks/clay_gpu.py measures it."""
MEASURED_GPU: dict[str, float] = {}
"""Chips a second of `large`, fp16, by instance type, where clay_gpu.py has run. None has been measured."""
CPU_SECONDS = {"fp32": 10.5, "int8": 7.0}
"""CPU seconds a chip of `large`: two cores, AMD EPYC, AVX2 without VNNI, 2026-11-22, `benchmarks/clay_cpu.py`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """A SageMaker instance type. Dollars an hour, on demand, real-time and asynchronous hosting, us-east-1."""

    name: str
    price: float
    lists: str
    """How many public price lists were found with this price."""
    vcpus: int
    gpu: str | None = None
    peak_tflops: float | None = None
    """Datasheet, dense fp16."""
    datasheet: str | None = None


NVIDIA = "https://www.nvidia.com/en-us/data-center/"
INSTANCES = (
    Instance(
        name="ml.g4dn.xlarge",
        price=0.7364,
        lists="several",
        vcpus=4,
        gpu="T4",
        peak_tflops=65,
        datasheet=f"{NVIDIA}tesla-t4/",
    ),
    Instance(
        name="ml.g5.xlarge",
        price=1.408,
        lists="several",
        vcpus=4,
        gpu="A10G",
        peak_tflops=70,
        datasheet="https://d1.awsstatic.com/product-marketing/ec2/NVIDIA_AWS_A10G_DataSheet_FINAL_02_17_2022.pdf",
    ),
    Instance(
        name="ml.g6.xlarge", price=1.127, lists="several", vcpus=4, gpu="L4", peak_tflops=121, datasheet=f"{NVIDIA}l4/"
    ),
    Instance(
        name="ml.g6e.xlarge",
        price=2.61,
        lists="several",
        vcpus=4,
        gpu="L40S",
        peak_tflops=362,
        datasheet=f"{NVIDIA}l40s/",
    ),
    Instance(
        name="ml.p5.4xlarge",
        price=7.912,
        lists="one",
        vcpus=16,
        gpu="H100",
        peak_tflops=989,
        datasheet=f"{NVIDIA}h100/",
    ),
    Instance(name="ml.c6i.4xlarge", price=0.816, lists="one", vcpus=16),
    Instance(name="ml.c7i.4xlarge", price=0.857, lists="one", vcpus=16),
)
SCENES_AT_A_TIME = (1, 20, 200, 1000)
START_MINUTES, IDLE_MINUTES = 10, 15
"""Of one wake-up: the longest of the 5 to 10 minutes reported from zero to one instance, all billed; then the wait for
scale-in."""

# --- beside the endpoint, us-east-1, x86_64 ----------------------------------------------------------------------
GB_SECOND, LAMBDA_REQUEST = 0.0000166667, 0.20 / MILLION
S3_PUT, S3_GET, S3_GB_MONTH = 0.005 / 1000, 0.0004 / 1000, 0.023
SQS_REQUEST, DYNAMO_WRITE, DYNAMO_READ = 0.40 / MILLION, 0.625 / MILLION, 0.125 / MILLION
CALL_OVERHEAD = 1.5
"""Seconds of a cold call for imports and clients: 0.5 s rasterio, 0.9 s boto3."""
UPLOAD_MB_PER_SECOND = 100.0
"""From a function to S3 and back; assumed."""
TILE_CHIPS_PER_SECOND = 215.0
"""Measured: the slower layout of docs/benchmarks.md, local disk, two processors."""
TILE_MB = 2 * 1_769
"""What has two processors on Lambda, where 1,769 MB have one."""
PLAN_SECONDS, SETTLE_SECONDS, COLLECT_SECONDS = 7.3 / 152_881, 24.1 / 2_406, 5.0 / 152_881
"""Measured in benchmarks/scale.py: a chip, a batch, a chip."""
CHIPS_PER_BATCH, TILE_BUDGET_MB = 64, 512
REQUEST_DAYS = 2
LEDGER_WRITES, LEDGER_READS = 6, 6
"""A batch, at most: row by tile twice, row and set by settle, each of up to 2 KB; and as many reads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What an instance type costs with one precision."""

    instance: str
    processor: str
    precision: str
    chips_per_second: float
    basis: str
    """``measured``, ``projected`` (a GPU) or ``scaled`` (a CPU)."""
    dollars_per_hour: float
    dollars_per_million_chips: float
    dollars_per_scene: float
    scene_minutes: float
    dollars_per_wake_up: float


def costs() -> Iterator[Cost]:
    """Give every row."""
    for instance in INSTANCES:
        if instance.gpu is not None and instance.peak_tflops is not None:
            measured = MEASURED_GPU.get(instance.name)
            speed = projected(instance.peak_tflops) if measured is None else measured
            yield cost(instance, instance.gpu, "fp16", speed, "projected" if measured is None else "measured")
        else:
            for precision, seconds in CPU_SECONDS.items():
                yield cost(instance, f"{instance.vcpus} vCPU", precision, instance.vcpus / seconds, "scaled")


def projected(peak_tflops: float) -> float:
    """Give chips a second of `large` in fp16 if the goal is met."""
    operations = chip_operations(ARCHITECTURES["large"], bands=BANDS, chip_size=CHIP)
    return peak_tflops * 1e12 * MATMUL_OF_PEAK * SHARE_OF_MATMUL / operations


def cost(instance: Instance, processor: str, precision: str, speed: float, basis: str) -> Cost:
    """Work out a row from chips a second."""
    per_chip = instance.price / 3600 / speed
    return Cost(
        instance=instance.name,
        processor=processor,
        precision=precision,
        chips_per_second=speed,
        basis=basis,
        dollars_per_hour=instance.price,
        dollars_per_million_chips=per_chip * MILLION,
        dollars_per_scene=per_chip * SCENE_CHIPS,
        scene_minutes=SCENE_CHIPS / speed / 60,
        dollars_per_wake_up=instance.price * (START_MINUTES + IDLE_MINUTES) / 60,
    )


def cheapest(scenes: int) -> Cost:
    """Give the row that embeds so many scenes after one wake-up for the fewest dollars."""
    return min(costs(), key=lambda row: row.dollars_per_wake_up + scenes * row.dollars_per_scene)


class _Loader(yaml.SafeLoader):
    """Reads a template; of CloudFormation's tags it minds !Ref alone."""


_Loader.add_multi_constructor("!", lambda *_: None)
_Loader.add_constructor("!Ref", lambda _, node: node.value)


def stack_template() -> dict[str, Any]:
    """Give template.yaml; what its other tags mean is left out."""
    text = (ROOT / "template.yaml").read_text(encoding="utf-8")
    template: dict[str, Any] = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    return template


def memory_sizes() -> dict[str, int]:
    """Give each function's memory in MB, from the template; where that is a parameter, its default."""
    template = stack_template()
    functions = {
        name: each["Properties"]
        for name, each in template["Resources"].items()
        if each["Type"] == "AWS::Serverless::Function"
    }
    parameters = template["Parameters"]
    sizes = {name.removesuffix("Function").lower(): properties["MemorySize"] for name, properties in functions.items()}
    return {name: size if isinstance(size, int) else parameters[size]["Default"] for name, size in sizes.items()}


def beside() -> dict[str, float]:
    """Give the dollars of a scene beside the endpoint, by what they are for."""
    # Tile's seconds were measured on two processors. With less memory it has less of them and takes as much longer, for
    # the same product.
    memory = {**memory_sizes(), "tile": TILE_MB}
    batches = math.ceil(SCENE_CHIPS / CHIPS_PER_BATCH)
    request_mb = SCENE_CHIPS * BANDS * CHIP**2 * 2 / 1e6
    jobs = math.ceil(request_mb / TILE_BUDGET_MB)
    seconds = {
        "plan": (PLAN_SECONDS * SCENE_CHIPS + CALL_OVERHEAD, 1),
        "tile": (SCENE_CHIPS / TILE_CHIPS_PER_SECOND + request_mb / UPLOAD_MB_PER_SECOND + jobs * CALL_OVERHEAD, jobs),
        "settle": (SETTLE_SECONDS * batches + CALL_OVERHEAD, batches),
        "collect": (COLLECT_SECONDS * SCENE_CHIPS + CALL_OVERHEAD, 1),
    }
    functions = sum(
        time * memory[name] / 1024 * GB_SECOND + calls * LAMBDA_REQUEST for name, (time, calls) in seconds.items()
    )
    # A batch: request, outcome, response; a scene: plan, chips, settlement, four files. Read: the blocks of ten bands,
    # and all that again.
    writes, reads = 3 * batches + 7, 121 * BANDS + 3 * batches + 4 * jobs
    messages = 3 * (1 + jobs + batches + 1)  # each is sent, received, deleted
    return {
        "Lambda": functions,
        "S3 requests": writes * S3_PUT + reads * S3_GET,
        f"S3, requests kept {REQUEST_DAYS} days": request_mb / 1000 * S3_GB_MONTH * REQUEST_DAYS / 30,
        "SQS": messages * SQS_REQUEST,
        "DynamoDB": batches * (LEDGER_WRITES * DYNAMO_WRITE + LEDGER_READS * DYNAMO_READ),
    }


def markdown() -> str:
    """Give the tables of docs/cost.md."""
    lines = [
        "| instance | | precision | chips/s | | $/hour | $/million chips | $/scene | scene, minutes | $/wake-up |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.instance} | {row.processor} | {row.precision} | {_digits(row.chips_per_second)} | {row.basis} |"
        f" {row.dollars_per_hour:g} | {_digits(row.dollars_per_million_chips)} | {_digits(row.dollars_per_scene)} |"
        f" {_digits(row.scene_minutes)} | {row.dollars_per_wake_up:.2f} |"
        for row in costs()
    ]
    lines += ["", "| scenes after one wake-up | cheapest | $/scene, the wake-up with it |", "|---|---|---|"]
    for scenes in SCENES_AT_A_TIME:
        row = cheapest(scenes)
        dollars = row.dollars_per_wake_up / scenes + row.dollars_per_scene
        lines += [f"| {scenes} | {row.instance} | {_digits(dollars)} |"]
    lines += ["", "| beside the endpoint | $/scene |", "|---|---|"]
    parts = beside()
    lines += [f"| {name} | {value:.5f} |" for name, value in parts.items()]
    lines += [f"| together | {sum(parts.values()):.4f} |"]
    lines += ["", "| instance | public lists with this price | peak, dense fp16 |", "|---|---|---|"]
    lines += [
        f"| {each.name} | {each.lists} |"
        f" {'' if each.peak_tflops is None else f'[{each.peak_tflops:g} TFLOP/s]({each.datasheet})'} |"
        for each in INSTANCES
    ]
    return "\n".join(lines) + "\n"


def _digits(value: float) -> str:
    """Write three digits, which is more than projections are worth."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write() -> None:
    """Put the tables into the page. Raises ValueError where it has no place for them."""
    text = PAGE.read_text(encoding="utf-8")
    start, stop = text.index(BEGIN) + len(BEGIN), text.index(END)
    PAGE.write_text(f"{text[:start]}\n{markdown()}{text[stop:]}", encoding="utf-8")


def main() -> None:
    """Print, or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--write", action="store_true", help="into docs/cost.md")
    options = parser.parse_args()
    if options.write:
        write()
    elif options.markdown:
        print(markdown(), end="")
    else:
        rows: list[dict[str, Any]] = [{"name": "cost", **asdict(row)} for row in costs()]
        rows += [{"name": "cost_beside", **beside()}]
        for row in rows:
            print(
                json.dumps(
                    {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}
                )
            )


if __name__ == "__main__":
    main()
