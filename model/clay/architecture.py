"""The four sizes of Clay v1.5, and the name and shape of every tensor that each one needs (claymodel 1.5.0, model.py
and factory.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PATCH: Final = 8
"""Pixels a side of a patch."""
METADATA: Final = 8
"""Channels, the last ones of every token, that hold time and latlon instead of a position."""
WAVE: Final = 128
"""Width of the hyper-network, and how many latent tokens it has."""
WAVE_HEADS: Final = 4
WAVE_HIDDEN: Final = 2048
KERNEL_SCALE: Final = 0.02
"""What the hyper-network's kernels are multiplied by."""
EPSILON: Final = 1e-5
"""Of every layer normalisation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transformer:
    """A stack of pre-norm blocks."""

    dim: int
    depth: int
    heads: int
    head_dim: int
    hidden: int
    """Width of the feed-forward layers."""

    @property
    def inner(self) -> int:
        """Width of queries, keys and values."""
        return self.heads * self.head_dim


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """One size of Clay v1.5."""

    size: str
    encoder: Transformer
    decoder: Transformer

    @property
    def name(self) -> str:
        """As the manifest records it."""
        return f"clay-v1.5-{self.size}"

    def tensors(self, *, decoder: bool) -> dict[str, tuple[int, ...]]:
        """Names and shapes of what a graph needs, without the ``model.`` that a Lightning checkpoint puts before
        them.
        """
        dim = self.encoder.dim
        shapes: dict[str, tuple[int, ...]] = {"encoder.cls_token": (1, 1, dim)}
        shapes |= _hyper_network("encoder.patch_embedding", dim)
        shapes |= _blocks("encoder.transformer", self.encoder)
        if decoder:
            shapes |= {
                "decoder.mask_patch": (self.decoder.dim,),
                "decoder.enc_to_dec.weight": (self.decoder.dim, dim),
                "decoder.enc_to_dec.bias": (self.decoder.dim,),
            }
            shapes |= _blocks("decoder.transformer", self.decoder)
            shapes |= _hyper_network("decoder.embed_to_pixels", self.decoder.dim, bias=False)
        return shapes


def _linear(name: str, out: int, into: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _norm(name: str, dim: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def _blocks(name: str, stack: Transformer) -> dict[str, tuple[int, ...]]:
    shapes = _norm(f"{name}.norm", stack.dim)
    for layer in range(stack.depth):
        attention, feed_forward = f"{name}.layers.{layer}.0", f"{name}.layers.{layer}.1.net"
        shapes |= _norm(f"{attention}.norm", stack.dim)
        shapes |= {
            f"{attention}.to_qkv.weight": (3 * stack.inner, stack.dim),
            f"{attention}.to_out.weight": (stack.dim, stack.inner),
        }
        shapes |= _norm(f"{feed_forward}.0", stack.dim)
        shapes |= _linear(f"{feed_forward}.1", stack.hidden, stack.dim) | _linear(
            f"{feed_forward}.3", stack.dim, stack.hidden
        )
    return shapes


def _hyper_network(name: str, dim: int, *, bias: bool = True) -> dict[str, tuple[int, ...]]:
    generator = f"{name}.weight_generator"
    layer = f"{generator}.encoder.layers.0"
    shapes = _linear(f"{name}.fclayer.l1", WAVE, WAVE) | _linear(f"{name}.fclayer.l2", WAVE, WAVE)
    shapes |= {f"{generator}.weight_tokens": (WAVE, WAVE), f"{generator}.bias_token": (1, WAVE)}
    shapes |= {f"{layer}.self_attn.in_proj_weight": (3 * WAVE, WAVE), f"{layer}.self_attn.in_proj_bias": (3 * WAVE,)}
    shapes |= _linear(f"{layer}.self_attn.out_proj", WAVE, WAVE)
    shapes |= _linear(f"{layer}.linear1", WAVE_HIDDEN, WAVE) | _linear(f"{layer}.linear2", WAVE, WAVE_HIDDEN)
    shapes |= _norm(f"{layer}.norm1", WAVE) | _norm(f"{layer}.norm2", WAVE)
    shapes |= _linear(f"{generator}.fc_weight", PATCH * PATCH * dim, WAVE)
    return shapes | (_linear(f"{generator}.fc_bias", dim, WAVE) if bias else {})


def _size(size: str, encoder: tuple[int, ...], decoder: tuple[int, ...]) -> Architecture:
    stacks = [
        Transformer(dim=dim, depth=depth, heads=heads, head_dim=head_dim, hidden=dim * ratio)
        for dim, depth, heads, head_dim, ratio in (encoder, decoder)
    ]
    return Architecture(size=size, encoder=stacks[0], decoder=stacks[1])


ARCHITECTURES: Final = {
    each.size: each
    for each in (
        _size("tiny", (192, 6, 4, 48, 2), (96, 3, 2, 48, 2)),
        _size("small", (384, 6, 6, 64, 2), (192, 4, 4, 64, 2)),
        _size("base", (768, 12, 12, 64, 4), (512, 4, 4, 64, 4)),
        _size("large", (1024, 24, 16, 64, 4), (512, 4, 4, 64, 4)),
    )
}
"""By size; columns: dim, depth, heads, dim of a head, feed-forward width over dim; of the encoder, then of the
decoder."""
