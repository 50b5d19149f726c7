"""How many floating-point operations a chip of Clay costs: what a rate in chips a second is worth beside a processor's.

A multiplication and an addition are two operations; normalisations, GELU and softmax are not counted.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))

from clay.architecture import PATCH, Architecture, Transformer

VISIBLE_SHARE = 0.25
"""Of the patches, in the pass that measures the loss."""


def chip_operations(
    architecture: Architecture, *, bands: int, chip_size: int, as_shipped: bool = False, loss: bool = False
) -> int:
    """Count the operations of one chip.

    ``as_shipped``: claymodel computes every token in the last block, our graphs only the class token. ``loss``: with
    the second, masked pass, the decoder and the way back to pixels.
    """
    patches = (chip_size // PATCH) ** 2
    encoder, decoder = architecture.encoder, architecture.decoder
    total = 2 * patches * encoder.dim * bands * PATCH**2
    total += (
        encoder.depth * _block(encoder, patches + 1) if as_shipped else _stack_for_class_token(encoder, patches + 1)
    )
    if loss:
        visible = patches - int((1 - VISIBLE_SHARE) * patches) + 1
        total += encoder.depth * _block(encoder, visible) + 2 * visible * encoder.dim * decoder.dim
        total += decoder.depth * _block(decoder, patches + 1)
        total += 2 * (patches + 1 - visible) * decoder.dim * bands * PATCH**2
    return total


def block_products(stack: Transformer, tokens: int) -> list[tuple[int, int, int]]:
    """Give rows, inner and columns of the matrix products with weights in one block over ``tokens`` tokens (of all
    chips).
    """
    projections = [(tokens, stack.dim, stack.inner)] * 3
    return [
        *projections,
        (tokens, stack.inner, stack.dim),
        (tokens, stack.dim, stack.hidden),
        (tokens, stack.hidden, stack.dim),
    ]


def _block(stack: Transformer, tokens: int) -> int:
    linear = sum(2 * rows * inner * columns for rows, inner, columns in block_products(stack, tokens))
    return linear + 4 * tokens * tokens * stack.inner


def _stack_for_class_token(stack: Transformer, tokens: int) -> int:
    """Count all blocks but the last whole, and in the last one keys and values of every token and the rest of one."""
    last = 2 * 2 * tokens * stack.dim * stack.inner + 4 * tokens * stack.inner
    last += 2 * stack.dim * (2 * stack.inner + 2 * stack.hidden)
    return (stack.depth - 1) * _block(stack, tokens) + last
