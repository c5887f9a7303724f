"""What each key means to whoever runs trials from a terminal, and what the terminal shows. Text in, text out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Act:
    """What a key asks for: a service, after these parameters of trial_node are set."""

    service: str
    what: str
    sets: Mapping[str, bool | str] = field(default_factory=dict)
    asks: tuple[tuple[str, str], ...] = ()
    """Parameters whose value is asked for in words, with the question."""


@dataclass(frozen=True)
class Asked:
    """An act with the answers."""

    act: Act
    answers: Mapping[str, str]

    @property
    def parameters(self) -> dict[str, bool | str]:
        """What trial_node's parameters are to be."""
        return {**self.act.sets, **self.answers}


_START = Act("/trial/start", "start")
_KEYS = {
    "\n": _START,
    " ": _START,
    "y": Act("/trial/score", "success", {"score_success": True, "score_stage": "", "note": ""}),
    "n": Act("/trial/score", "failure, no stage reached", {"score_success": False, "score_stage": "", "note": ""}),
    "v": Act("/trial/void", "void: this attempt does not count", asks=(("void_reason", "why does it not count"),)),
    "u": Act("/trial/undo", "undo: take the last result back"),
    "t": Act("/trial/note", "note on the last result", asks=(("note", "note"),)),
}
_OF_STATE = {"reset": "ut", "ready": "\nut", "running": "ynv", "score": "ynv", "finished": "\nut", "refused": ""}
_NAMED = {"\n": "Enter"}


def act_of(key: str, values: Mapping[str, str]) -> Act | None:
    """What a key asks for, given what /trial/status says; None for a key without a meaning.

    A digit is a failure that reached the stage of that number.
    """
    stages = _stages(values)
    if key.isdecimal() and 1 <= int(key) <= len(stages):
        stage = stages[int(key) - 1]
        sets: dict[str, bool | str] = {"score_success": False, "score_stage": stage, "note": ""}
        return Act("/trial/score", f"failure after {stage}", sets)
    return _KEYS.get(key)


def shown(values: Mapping[str, str], message: str) -> str:
    """What a person needs to know now, and which keys they have."""
    state = values.get("state", "")
    lines = [f"[{values.get('done', '0')}/{values.get('planned', '?')}] {message}"]
    if state in ("reset", "ready") and values.get("instructions"):
        lines.append(f"  set the table: {values['instructions']}")
    if state in ("running", "score") and values.get("success_criterion"):
        lines.append(f"  success: {values['success_criterion']}")
    if values.get("last"):
        lines.append(f"  last: {values['last']}")
    keys = [f"{_NAMED.get(key, key)} {_KEYS[key].what}" for key in _keys(state, values)]
    if state in ("running", "score") and values.get("scored_by") == "operator":
        keys += [f"{number} failure after {stage}" for number, stage in enumerate(_stages(values), start=1)]
    return "\n".join([*lines, "  keys: " + ", ".join([*keys, "q quit (the trials go on)"])])


def _keys(state: str, values: Mapping[str, str]) -> list[str]:
    known = list(_OF_STATE.get(state, ""))
    if values.get("scored_by") != "operator":
        known = [key for key in known if key not in ("y", "n")]
    return [key for key in known if key != "u" or values.get("can_undo") == "1"]


def _stages(values: Mapping[str, str]) -> list[str]:
    return [stage for stage in values.get("stages", "").split(",") if stage]
