"""A test that may be looked at after every trial, and stopped when it is clear, without being wrong more often.

Of two policies that try the same starts, under "neither is better" a start at which exactly one of them succeeds is a
fair coin: whose success it was. Somebody bets on that coin, at fair odds, a stake that they learn from what they have
seen (Krichevsky and Trofimov 1981: after k of n for the first, the chance of the first is (k + 1/2) / (n + 1)). Their
wealth, the *e-value*, begins at 1 and is a martingale while the coin is fair, so that it ever reaches 1/alpha with
probability alpha at most (Ville 1939), whenever and however often one looks. This is the sign test by betting, as
Waudby-Smith and Ramdas (2024, JRSS B 86:1) and Turner, Ly and Grunwald (2024, JSPI 230:106116) build such tests; no
assumption on how outcomes of a pair depend on each other is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Side = Literal["first", "second"]
ALPHA = 0.05


@dataclass(frozen=True)
class Evidence:
    """Against "neither is better", after some pairs of which one alone succeeded."""

    log_e: float
    """Logarithm of the e-value now."""
    log_e_most: float
    """The highest that it has been."""
    decided_after: int | None
    """After how many such pairs the e-value first reached 1 / ALPHA: one could have stopped there. None: not yet."""

    @property
    def p_always(self) -> float:
        """An always-valid p-value: 1 / the highest e-value so far, at most 1."""
        return min(1.0, math.exp(-self.log_e_most))


def evidence(discordant: Iterable[Side], alpha: float = ALPHA) -> Evidence:
    """What pairs say in which one alone succeeded, in the order in which they came. `alpha` is the error allowed."""
    firsts = 0
    log_e = most = 0.0
    decided = None
    for seen, side in enumerate(discordant):
        chance = (firsts + 0.5) / (seen + 1.0)
        log_e += math.log(2.0 * (chance if side == "first" else 1.0 - chance))
        firsts += side == "first"
        most = max(most, log_e)
        if decided is None and log_e >= -math.log(alpha):
            decided = seen + 1
    return Evidence(log_e, most, decided)
