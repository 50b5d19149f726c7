"""``clayline search --s3-vectors``: a vector bucket is asked, and no file but the examples' is read."""

import json
from collections.abc import Sequence
from shlex import quote
from typing import Final

from clayline.api.dataset import Dataset
from clayline.api.exemplars import probe_of
from clayline.aws.vectors import S3Vectors, vectors_client
from clayline.dataset.asking import Span, box_of
from clayline.errors import counted, shown
from clayline.likeness.examples import Given
from clayline.likeness.instruments import Instruments
from clayline.likeness.taking_part import Filters
from clayline.likeness.vector_index import VectorModel
from clayline.likeness.vector_query import MOST_NEIGHBOURS, VectorAnswer, VectorQuestion, ask_vectors
from clayline.steps.sending import vector_model
from clayline_cli.asking.imagery import tell_outside
from clayline_cli.asking.opening import root_at
from clayline_cli.console import Console
from clayline_cli.errors import CommandError
from clayline_cli.searching.options import SearchOptions

_UNKNOWN: Final = "the filters worked in S3 Vectors, which does not say what they left out"


def ask_bucket(
    options: SearchOptions,
    dataset: Dataset,
    like: Sequence[Given],
    unlike: Sequence[Given],
    filters: Filters,
    console: Console,
) -> int:
    """Ask the vector bucket and tell its answer; gives the exit status. Raises ClaylineError."""
    bucket = str(options.s3_vectors)
    asked = Instruments(named=options.instrument, across=options.across_instruments)
    positive, negative = dataset.examples(like, unlike, model=options.model, filters=filters, instruments=asked)
    tell_outside((*positive, *negative), console, valid_least=options.min_valid)
    instruments = asked.taking_part(each.instrument for each in (*positive, *negative))
    token, digest = positive[0].token, positive[0].digest
    root = root_at(options.places[0], profile=options.profile, region=options.region)
    model = vector_model(root, bucket=bucket, token=token, digest=digest)
    if model is None:
        raise CommandError(
            f"{dataset.uri} says nothing of {token} in the vector bucket {bucket}: send its scenes with"
            f" `clayline vectors {quote(options.places[0])} --vector-bucket {bucket}`."
        )
    probe = probe_of(positive, negative, model.centred())
    own = set() if options.with_examples else {each.name for each in (*positive, *negative)}
    if options.count + len(own) > MOST_NEIGHBOURS:
        raise CommandError(f"S3 Vectors gives {MOST_NEIGHBOURS} neighbours at most, the examples among them: ask less.")
    question = _question(options, filters, instruments)
    vectors = S3Vectors(vectors_client(profile=options.profile, region=options.region), bucket=bucket)
    answer = ask_vectors(vectors, model, probe, question, most=options.count + len(own))
    _tell(options, answer, own, question, model)
    return 0


def _question(options: SearchOptions, filters: Filters, instruments: frozenset[str] | None) -> VectorQuestion:
    span, always = Span.of(options.time), Span()
    if span.others:
        raise CommandError("--s3-vectors takes one time: ask for each.")
    return VectorQuestion(
        filters=filters,
        box=box_of(options.bbox),
        start=span.start if span.start != always.start else None,
        end=span.end if span.end != always.end else None,
        instruments=instruments,
    )


def _tell(
    options: SearchOptions, answer: VectorAnswer, own: set[str], question: VectorQuestion, model: VectorModel
) -> None:
    """S3 Vectors filters by itself and counts nothing, so what filters left out is said to be unknown."""
    found = [each for each in answer.neighbours if each.uci not in own][: options.count]
    if options.json:
        chips = [
            {"rank": rank, **each.metadata, "uci": each.uci, "score": each.score}
            for rank, each in enumerate(found, start=1)
        ]
        said = {
            "model": model.token,
            "centred_by": model.centred_by,
            "asked": list(answer.asked),
            "approximate": True,
            "filters": question.document(),
            "looked_through": None,
            "left_out": None,
            "nothing": None if chips else f"nothing came back: {_UNKNOWN}",
        }
        print(json.dumps({**said, "chips": chips}), flush=True)
        return
    lines = [f"{rank:>4} {each.score:>6.3f}  {each.uci}" for rank, each in enumerate(found, start=1)]
    lines = lines or ["no chip came back"]
    indexes = counted(len(answer.asked), "index", "indexes")
    lines.append(f"{indexes} asked, approximate; {model.token}, centred by {model.centred_by}")
    lines.append(f"{_UNKNOWN} ({json.dumps(question.document())})")
    print(shown("\n".join(lines)), flush=True)
