"""What a person may do when, at the desk where trials are run; keys and pictures of starts."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from xdistill_ros.rig import Reason, Refusal
from xdistill_ros.trials import Trial
from xdistill_ros.trials.desk import Desk, Score, State
from xdistill_ros.trials.keys import Asked, act_of, shown
from xdistill_ros.trials.starts import Starts

TRIAL = Trial("move_cube", "id", 100_000)
STATUS = {"state": "score", "stages": "held,placed", "scored_by": "operator", "done": "3", "planned": "10",
          "success_criterion": "It lies there.", "instructions": "Put it down.", "can_undo": "1"}  # fmt: skip


def desk_in(state: State, scored_by_person: bool = True) -> Desk:
    desk = Desk(scored_by_person)
    desk.enter(state, ("held", "placed"))
    return desk


ALLOWED = {
    "start": {State.READY, State.FINISHED},
    "score": {State.RUNNING, State.SCORE},
    "void": {State.RUNNING, State.SCORE},
    "undo": {State.RESET, State.READY, State.FINISHED},
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("what", ALLOWED)
def test_each_request_is_taken_when_it_makes_sense_and_refused_with_the_state_otherwise(
    what: str, state: State
) -> None:
    desk = desk_in(state)
    ask = {
        "start": desk.start, "score": lambda: desk.score(True, "", ""), "void": lambda: desk.void("the cat"),
        "undo": desk.may_undo,
    }  # fmt: skip
    answer = ask[what]()
    if state in ALLOWED[what]:
        assert answer is None
    else:
        assert isinstance(answer, Refusal)
        assert answer.reason is Reason.NOT_NOW
        assert f"it is {state.value}" in answer.sentence


def test_a_score_given_while_the_trial_ran_counts_when_it_has_ended() -> None:
    desk = desk_in(State.RUNNING)
    assert desk.score(False, "held", "it slipped") is None
    desk.enter(State.SCORE)
    assert desk.score_given == Score(False, "held", "it slipped")


def test_nothing_that_was_asked_of_one_trial_is_left_for_the_next() -> None:
    desk = desk_in(State.RUNNING)
    desk.score(True, "", "")
    desk.void("the cat")
    desk.enter(State.RESET)
    desk.enter(State.RUNNING)
    assert (desk.score_given, desk.void_reason, desk.started) == (None, "", False)
    desk.enter(State.READY)
    desk.start()
    desk.enter(State.READY)
    assert not desk.started


def test_success_reaches_the_last_stage_and_an_unknown_stage_is_named_with_those_there_are() -> None:
    desk = desk_in(State.SCORE)
    refusal = desk.score(False, "flown", "")
    assert refusal is not None
    assert "'flown' is none of this task; its stages are: held, placed" in refusal.sentence
    assert desk.score_given is None
    desk.score(True, "", "")
    assert desk.score_given == Score(True, "placed", "")


def test_what_the_simulator_scores_no_person_does() -> None:
    refusal = desk_in(State.RUNNING, scored_by_person=False).score(True, "", "")
    assert refusal is not None
    assert "the simulator scores" in refusal.sentence


def test_a_void_without_a_reason_is_refused() -> None:
    refusal = desk_in(State.SCORE).void("  ")
    assert refusal is not None
    assert refusal.reason is Reason.SCORE_INVALID


def test_keys_score_start_void_and_take_back() -> None:
    given = {key: act_of(key, STATUS) for key in "yn2vu\n3x"}
    assert {key: act.service for key, act in given.items() if act is not None} == {
        "y": "/trial/score", "n": "/trial/score", "2": "/trial/score", "v": "/trial/void", "u": "/trial/undo",
        "\n": "/trial/start",
    }  # fmt: skip
    two = given["2"]
    assert two is not None
    assert Asked(two, {}).parameters == {"score_success": False, "score_stage": "placed", "note": ""}
    void = given["v"]
    assert void is not None
    assert Asked(void, {"void_reason": "the cat"}).parameters == {"void_reason": "the cat"}


def test_the_terminal_shows_what_is_to_be_done_and_only_keys_that_do_something() -> None:
    score = shown(STATUS, "it has ended")
    assert score.startswith("[3/10] it has ended")
    assert "It lies there." in score
    assert "Put it down." not in score
    assert "1 failure after held" in score
    ready = shown({**STATUS, "state": "ready"}, "waits")
    assert "Put it down." in ready
    assert "u undo" in ready
    assert "u undo" not in shown({**STATUS, "state": "ready", "can_undo": "0"}, "waits")
    assert "y success" not in shown({**STATUS, "scored_by": "simulator"}, "runs")


def test_the_first_start_that_counts_is_the_reference_until_none_does(tmp_path: Path) -> None:
    starts = Starts(tmp_path)
    assert starts.reference(TRIAL) == b""
    first, second = (np.full((48, 64, 3), (level, 0, 0), dtype=np.uint8) for level in (200, 60))
    starts.keep(TRIAL, first)
    starts.keep(TRIAL, second)
    decoded = cv2.imdecode(np.frombuffer(starts.reference(TRIAL), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    np.testing.assert_allclose(decoded[24, 32], [0, 0, 200], atol=6)  # BGR: what came in red is red
    assert starts.reference(Trial("move_cube", "id", 100_000, "theirs")) == starts.reference(TRIAL)
    starts.forget(TRIAL)
    assert starts.reference(TRIAL) == b""
