"""Who may look and who may steer: the pairing code, the tokens that follow it, the one seat at the helm.

Owns no sockets and no cookies. Clocks are handed in: `now_s` is the steady clock's, a token's expiry is the calendar's.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from xdistill_ros.rig import Reason, Refusal

TRIES = 5
"""Wrong codes in a row before pairing closes for a while and the code changes."""
PAUSE_S = 60.0
TOKEN_S = 12 * 3600.0
"""How long a paired browser stays paired: a working day."""
_TOKENS = 32  # browsers remembered; the oldest is forgotten first
IDLE_S = 30.0
"""A seat whose holder has done nothing for so long (held no clutch, pressed no button) goes to whoever asks next."""


class Pairing:
    """The six-digit code that proves that the operator can see the terminal or the dashboard."""

    def __init__(self, announce: Callable[[str], None]) -> None:
        """`announce` is called with every new code."""
        self._announce = announce
        self._wrong = 0
        self._closed_until_s = 0.0
        self._renew()

    def attempt(self, code: str, now_s: float) -> Refusal | None:
        """None when `code` is the code. Limited for all comers together: a guesser may have many addresses."""
        if now_s < self._closed_until_s:
            wait_s = self._closed_until_s - now_s
            return Refusal(
                Reason.WRONG_CODE,
                f"pairing is closed for {wait_s:.0f} s more, after {TRIES} wrong codes; then use the new code",
            )
        if hmac.compare_digest(code.encode(errors="replace"), self.code.encode()):
            self._wrong = 0
            return None
        self._wrong += 1
        if self._wrong < TRIES:
            return Refusal(
                Reason.WRONG_CODE,
                f"this is not the code in the terminal or on the dashboard; {TRIES - self._wrong} tries left",
            )
        self._wrong, self._closed_until_s = 0, now_s + PAUSE_S
        self._renew()
        return Refusal(
            Reason.WRONG_CODE,
            f"{TRIES} wrong codes; pairing is closed for {PAUSE_S:.0f} s, and there will be a new code",
        )

    def _renew(self) -> None:
        self.code = f"{secrets.randbelow(1_000_000):06d}"
        self._announce(self.code)


class Tokens:
    """What a paired browser shows instead of the code. Only their hashes are kept, in a file that outlives the process,
    so that an operator in a headset stays paired when the node is started anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._expiry = _read(path)

    def issue(self, now_s: float) -> str:
        """A new token; `now_s` of the calendar clock."""
        token = secrets.token_urlsafe(32)
        self._expiry[_digest(token)] = now_s + TOKEN_S
        newest = sorted(self._expiry.items(), key=lambda entry: entry[1])[-_TOKENS:]
        self._expiry = {digest: expiry for digest, expiry in newest if expiry > now_s}
        _write(self._path, self._expiry)
        return token

    def valid(self, token: str, now_s: float) -> bool:
        """Whether `token` was issued and has not expired. By its hash, whose look-up tells a guesser nothing."""
        return self._expiry.get(_digest(token), 0.0) > now_s


class Seat:
    """One client steers; the others watch."""

    def __init__(self) -> None:
        self.holder: int | None = None
        self._used_s = 0.0

    def claim(self, client: int, now_s: float) -> Refusal | None:
        """None when `client` steers now."""
        idle_s = now_s - self._used_s
        if self.holder not in (None, client) and idle_s < IDLE_S:
            return Refusal(
                Reason.SECOND_CLIENT,
                f"another page steers; press 'Give up' there, or wait {IDLE_S - idle_s:.0f} s in which it does nothing",
            )
        self.holder, self._used_s = client, now_s
        return None

    def use(self, now_s: float) -> None:
        """The holder does something."""
        self._used_s = now_s

    def leave(self, client: int) -> bool:
        """`client` goes; whether it was the one who steered."""
        if self.holder != client:
            return False
        self.holder = None
        return True


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _read(path: Path) -> dict[str, float]:
    """The file's tokens; none when it is not there or is damaged, for then everybody pairs again."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return {str(digest): float(expiry) for digest, expiry in stored.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _write(path: Path, expiry: dict[str, float]) -> None:
    write_private(path, json.dumps(expiry).encode())


def write_private(path: Path, content: bytes) -> None:
    """Replaces a file as a whole; nobody but its owner may read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(path)
