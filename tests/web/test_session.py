"""Who gets in and who steers."""

from __future__ import annotations

from pathlib import Path

import pytest

from xdistill_ros.rig import Reason
from xdistill_ros.web.session import IDLE_S, PAUSE_S, TOKEN_S, TRIES, Pairing, Seat, Tokens


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


def test_the_code_has_six_digits_and_lets_in() -> None:
    announced: list[str] = []
    pairing = Pairing(announced.append)
    assert announced == [pairing.code]
    assert len(pairing.code) == 6
    assert pairing.code.isdigit()
    assert pairing.attempt(pairing.code, 0.0) is None


@pytest.mark.parametrize("code", ["", "1", "\u0660" * 6, "000000000000", "\udcff"])
def test_what_is_no_code_is_a_wrong_one(code: str) -> None:
    pairing = Pairing(lambda _: None)
    pairing.code = "123456"
    refusal = pairing.attempt(code, 0.0)
    assert refusal is not None
    assert refusal.reason is Reason.WRONG_CODE


def test_after_a_few_wrong_codes_even_the_right_one_must_wait_and_has_changed() -> None:
    announced: list[str] = []
    pairing = Pairing(announced.append)
    first = pairing.code
    for _ in range(TRIES):
        assert pairing.attempt(wrong(pairing.code), 10.0) is not None
    assert announced[-1] == pairing.code
    assert len(announced) == 2
    closed = pairing.attempt(pairing.code, 10.0 + PAUSE_S / 2)
    assert closed is not None
    assert "30 s" in closed.sentence
    assert pairing.attempt(pairing.code, 10.0 + PAUSE_S) is None
    assert first == pairing.code or pairing.attempt(first, 10.0 + PAUSE_S) is not None


def test_a_right_code_forgives_the_wrong_ones_before_it() -> None:
    pairing = Pairing(lambda _: None)
    for _ in range(3):
        for _ in range(TRIES - 1):
            pairing.attempt(wrong(pairing.code), 0.0)
        assert pairing.attempt(pairing.code, 0.0) is None


def test_a_token_lasts_a_working_day_and_outlives_the_process(tmp_path: Path) -> None:
    path = tmp_path / "state" / "tokens.json"
    token = Tokens(path).issue(1000.0)
    again = Tokens(path)
    assert again.valid(token, 1000.0 + TOKEN_S - 1)
    assert not again.valid(token, 1000.0 + TOKEN_S)
    assert not again.valid(token[:-1], 1000.0)
    assert not again.valid("", 1000.0)


def test_tokens_themselves_are_not_on_disk_and_nobody_else_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    token = Tokens(path).issue(0.0)
    assert token not in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["", "{", "[1]", '{"a": "b"}', "7"])
def test_a_damaged_file_of_tokens_means_pairing_again(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(damage, encoding="utf-8")
    tokens = Tokens(path)
    assert tokens.valid(tokens.issue(0.0), 1.0)


def test_tokens_do_not_pile_up(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "tokens.json")
    issued = [tokens.issue(float(second)) for second in range(100)]
    assert not tokens.valid(issued[0], 100.0)
    assert tokens.valid(issued[-1], 100.0)


def test_one_steers_and_a_second_is_told_so() -> None:
    seat = Seat()
    assert seat.claim(1, 0.0) is None
    refusal = seat.claim(2, 1.0)
    assert refusal is not None
    assert refusal.reason is Reason.SECOND_CLIENT
    assert seat.claim(1, 1.0) is None
    assert seat.leave(1)
    assert seat.claim(2, 1.0) is None


def test_a_seat_that_is_not_used_goes_to_who_asks() -> None:
    seat = Seat()
    seat.claim(1, 0.0)
    seat.use(100.0)
    assert seat.claim(2, 100.0 + IDLE_S - 1) is not None
    assert seat.claim(2, 100.0 + IDLE_S) is None
    assert not seat.leave(1), "the first has lost it already"
