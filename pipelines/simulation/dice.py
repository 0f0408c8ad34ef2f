"""Randomness without a state: each draw is a hash of the seed, the draw's name and the row's number, in SQL.

A draw depends on nothing else, so neither the order of rows nor the number of threads can change it. The engine's
`hash` is stable for the pinned version; draws are integers or exact doubles, never logarithms or cosines, whose last
digit differs between machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from statistics import NormalDist

from pipelines.engines.duckdb_engine import quote_text

LETTER = 0xA << 28  # makes the eighth hex digit from the right an A, B, E or F


class Dice:
    """SQL expressions that draw. `name` tells draws apart; `key` is SQL for a whole number >= 0 that tells rows apart."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def bits(self, name: str, key: str) -> str:
        """64 random bits, as UBIGINT; different keys never give the same bits under one name."""
        salt = int.from_bytes(sha256(f"{self._seed}/{name}".encode()).digest()[:8], "big")
        return f"hash(xor(({key})::ubigint, {salt}::ubigint))"

    def unit(self, name: str, key: str) -> str:
        """A double in [0, 1)."""
        return f"(({self.bits(name, key)} >> 11)::double * {2.0 ** -53!r})"

    def below(self, limit: int | str, name: str, key: str) -> str:
        """A whole number in [0, limit), as BIGINT; `limit` is a number > 0 or SQL for one."""
        return f"({self.bits(name, key)} % ({limit})::ubigint)::bigint"

    def chance(self, share: float, name: str, key: str) -> str:
        """True for `share` of the rows."""
        return "true" if share >= 1 else f"({self.bits(name, key)} < {int(share * 2**64)}::ubigint)"

    def within(self, low: str, high: str, name: str, key: str) -> str:
        """A whole number in [low, high), or low where the range is empty; both are SQL for a BIGINT."""
        return f"({low} + floor({self.unit(name, key)} * greatest({high} - ({low}), 0))::bigint)"

    def pick(self, words: Sequence[object], name: str, key: str) -> str:
        """One of `words`."""
        return chosen(words, self.below(len(words), name, key))

    def about(self, expected: str, name: str, key: str) -> str:
        """A whole number whose mean is `expected` (SQL for a double >= 0): rounded down or up by chance."""
        return f"floor({expected} + {self.unit(name, key)})::bigint"

    def identifier(self, prefix: str, name: str, key: str) -> str:
        """An opaque identifier: hex, with a letter in its middle so that no run of digits can be taken for a card number."""
        return f"concat('{prefix}', {self.digits(name, key)})"

    def digits(self, name: str, key: str) -> str:
        """An identifier without its prefix, for whoever puts it into a longer text: 62 random bits, so in practice different for different keys."""
        return f"hex({self.bits(name, key)} | {LETTER})"


def chosen(words: Sequence[object], index: str) -> str:
    """The element of `words` at `index` (SQL, from 0)."""
    return f"{literals(words)}[1 + {index}]"


def literals(words: Sequence[object]) -> str:
    """A SQL list of texts or numbers."""
    return "[" + ", ".join(quote_text(word) if isinstance(word, str) else str(word) for word in words) + "]"


def log_normal(mean: float, sigma: float, steps: int = 128) -> list[float]:
    """Quantiles of a log-normal distribution with this mean, so that picking one of them draws from it."""
    spread = NormalDist(0, sigma)
    raw = [2.718281828459045 ** spread.inv_cdf((step + 0.5) / steps) for step in range(steps)]
    return [round(value * mean * steps / sum(raw), 3) for value in raw]
