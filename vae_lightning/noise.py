"""Random numbers as pure functions of what they are used for.

Training noise is a function of (seed, purpose, rank, step): a resumed run, or one with another number of loader workers, draws
the same numbers. Evaluation noise is a function of (seed, purpose, example), so batch size and order change nothing.
"""

from __future__ import annotations

import hashlib
import math
from typing import Protocol

import torch
from torch import Tensor


class Noise(Protocol):
    """A stream of standard noise. The batch is the first dimension of `like`: (batch, *event)."""

    def normal(self, like: Tensor, samples: tuple[int, ...] = ()) -> Tensor:
        """Draw ε ~ N(0, 1), shape (*samples, *like.shape), dtype and device of `like`."""

    def uniform(self, like: Tensor, samples: tuple[int, ...] = ()) -> Tensor:
        """Draw u ~ U[0, 1), shape (*samples, *like.shape), dtype and device of `like`."""


def derive_seed(*parts: int | str) -> int:
    """Derive a 63-bit seed from a tuple such as (seed, "train", rank, step).

    Hashed rather than added up, since a CPU generator uses only the low 32 bits of its seed, and sums of neighbouring seeds
    collide.
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class StreamNoise:
    """Noise from a seeded torch generator: fast, for training."""

    def __init__(self, generator: torch.Generator, seed: int) -> None:
        self.generator = generator.manual_seed(seed)

    def normal(self, like: Tensor, samples: tuple[int, ...] = ()) -> Tensor:
        return torch.randn(*samples, *like.shape, generator=self.generator, dtype=like.dtype, device=like.device)

    def uniform(self, like: Tensor, samples: tuple[int, ...] = ()) -> Tensor:
        return torch.rand(*samples, *like.shape, generator=self.generator, dtype=like.dtype, device=like.device)

    def hand_to_global_generator(self) -> GlobalNoise:
        """Copy this generator's state to torch's global one, and return noise from there, which draws the same numbers."""
        device = self.generator.device
        of_device = torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else torch.default_generator
        of_device.set_state(self.generator.get_state())
        return GlobalNoise()


class GlobalNoise:
    """Noise from torch's global generator, for interactive use; training and evaluation pass their own."""

    def normal(self, like: Tensor, samples: tuple[int, ...] = ()) -> Tensor:
        return torch.randn(*samples, *like.shape, dtype=like.dtype, device=like.device)

    def uniform(self, like: Tensor, samples: tuple[int, ...] = ()) -> Tensor:
        return torch.rand(*samples, *like.shape, dtype=like.dtype, device=like.device)


class ExampleNoise:
    """Noise keyed by example: row i of every draw depends only on `seed` and `examples[i]`.

    The n-th number of an example's m-th draw is SplitMix64 (Steele, Lea and Flood 2014) at counter n, starting from a hash of
    (seed, m, example). It is the same on every device, up to rounding. `first_sample` skips that many samples of the leading
    `samples` dimension, so that k samples drawn in chunks equal k samples drawn at once.
    """

    def __init__(self, examples: Tensor, seed: int, first_sample: int = 0) -> None:
        self.examples, self.seed, self.first_sample = examples.long(), seed, first_sample
        self.draws = 0

    def normal(self, like: Tensor, samples: tuple[int, ...] = ()) -> Tensor:
        u = self._uniform(like, samples)
        return (torch.special.erfinv(2 * u - 1) * math.sqrt(2)).to(like.dtype)

    def uniform(self, like: Tensor, samples: tuple[int, ...] = ()) -> Tensor:
        # rounding to float32 could reach 1, which is outside [0, 1)
        return self._uniform(like, samples).to(like.dtype).clamp_max(1 - torch.finfo(like.dtype).eps)

    def _uniform(self, like: Tensor, samples: tuple[int, ...]) -> Tensor:
        """Uniform u in (0, 1), float64: 52 random bits plus a half, so that neither 0 nor 1 occurs."""
        draw, self.draws = self.draws, self.draws + 1
        start = torch.tensor(_signed(derive_seed(self.seed, draw)), device=like.device)
        per_example = _mix(self.examples.to(like.device) * _GOLDEN + start)
        count, event = math.prod(samples), like.shape[1:]
        numbers = torch.arange(count * event.numel(), device=like.device) + self.first_sample * event.numel()
        counter = (numbers * _GOLDEN).view(count, 1, *event)
        bits = _mix(per_example.view(1, -1, *[1] * len(event)) + counter)
        u = (_shift(bits, 12).double() + 0.5) * 2.0**-52
        return u.view(*samples, *like.shape)


class UnbatchedNoise:
    """`noise` keyed by example, for a distribution without a batch: the last dimension of `samples` is the batch."""

    def __init__(self, noise: Noise) -> None:
        self.noise = noise

    def normal(self, like: Tensor, samples: tuple[int, ...] = ()) -> Tensor:
        return self.noise.normal(*self._with_batch(like, samples))

    def uniform(self, like: Tensor, samples: tuple[int, ...] = ()) -> Tensor:
        return self.noise.uniform(*self._with_batch(like, samples))

    @staticmethod
    def _with_batch(like: Tensor, samples: tuple[int, ...]) -> tuple[Tensor, tuple[int, ...]]:
        return (like.expand(samples[-1], *like.shape), tuple(samples[:-1])) if samples else (like, ())


def _signed(value: int) -> int:
    """Return a 64-bit pattern as the int64 that torch holds."""
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_M1, _M2 = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64 (torch's is arithmetic)."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finalizer: a bijection of 64-bit words whose output bits pass as independent."""
    x = (x ^ _shift(x, 30)) * _M1
    x = (x ^ _shift(x, 27)) * _M2
    return x ^ _shift(x, 31)
