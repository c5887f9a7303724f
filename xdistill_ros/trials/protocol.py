"""A protocol: what is tried, how often, under which conditions, by which policies, and how success is judged.

It is written before the first trial, and results name it by its hash. Owns the document and what is wrong with it;
which tasks and conditions a simulator has, and where bundles are, is told to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from xdistill_ros.rig import Rig, RigError
from xdistill_ros.rig.base import Strict
from xdistill_ros.rig.fields import Name
from xdistill_ros.rig.load import read_document

from .schedule import FIRST_EVALUATION_SEED, Trial, schedule

SHIPPED = "shipped"
"""What the policy is called where nobody names one."""
ID = "id"
"""The condition that is in distribution; all others are not."""
StageName = Annotated[str, Field(pattern=r"^[^,\s][^,]*$", description="without a comma")]
Conditions = Mapping[str, tuple[str, ...]]
PARAMETERS = ("protocol", "tasks", "conditions", "trials", "first_seed", "time_limit_s", "bundles", "remote")
"""Of trial_node, which say what is tried: a file, or flags."""


class ProtocolError(ValueError):
    """A protocol that cannot be followed; the message names file, field, value, and what is allowed."""


class Condition(Strict):
    """How often, and how a person sets the table for it. A bare number stands for `trials`."""

    trials: Annotated[int, Field(ge=1, le=10_000)] = Field(description="starts, each tried by every policy")
    instructions: str = Field(default="", description="for the person who sets the table, besides the task's own")


class TaskPlan(Strict):
    """One task."""

    conditions: dict[Name, Condition] = Field(min_length=1, description="`id`, and those outside the distribution")
    success_criterion: str = Field(default="", description="in words, for whoever judges and whoever reads")
    instructions: str = Field(default="", description="how a person sets the table")
    stages: tuple[StageName, ...] = Field(default=(), description="in order, for partial scores; the simulator has own")
    time_limit_s: Annotated[float, Field(gt=0.0, le=3600.0)] | None = Field(
        default=None, description="seconds of the rig's time; left out: the simulated task's own"
    )

    @field_validator("conditions", mode="before")
    @classmethod
    def _bare_numbers(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            name: {"trials": one} if isinstance(one, int) and not isinstance(one, bool) else one
            for name, one in value.items()
        }

    @field_validator("stages")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("names a stage twice; give each a name of its own")
        return value


class Contestant(Strict):
    """A policy that is tried: by default the bundles that ship."""

    bundles: Path | None = Field(
        default=None, description="folder that has a bundle for each task, by the task's name; relative to this file"
    )
    bundle: Path | None = Field(default=None, description="one bundle's folder, where there is one task")
    remote: Path | None = Field(default=None, description="description of a remote policy (config/remotes/*.yaml)")

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name in ("bundles", "bundle", "remote") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given; a policy is one of them")
        return self


class Protocol(Strict):
    """The whole of it. `load` reads one from a file."""

    name: Name
    title: str = Field(default="", description="of the report")
    tasks: dict[Name, TaskPlan] = Field(min_length=1)
    policies: dict[Name, Contestant] = Field(default={SHIPPED: Contestant()}, min_length=1)
    started_by: Literal["itself", "operator"] = Field(
        default="itself",
        description="operator: a person says when each trial begins; itself: if simulated",
    )
    scored_by: Literal["simulator", "operator"] = "simulator"
    blinded: bool = Field(default=False, description="who operates is not told which policy runs")
    blocks: Literal["within_task", "across_tasks"] = Field(
        default="within_task", description="within_task: one task after the other; across_tasks: all of them mixed"
    )
    first_seed: Annotated[int, Field(ge=FIRST_EVALUATION_SEED, le=2**31 - 10_001)] = FIRST_EVALUATION_SEED
    order_seed: int = Field(default=0, description="of the order of conditions and policies")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.blinded and len(self.policies) < 2:
            raise ValueError("blinded is true, but there is one policy only, so there is nothing to hide")
        if self.scored_by == "operator" and self.started_by != "operator":
            raise ValueError("scored_by is operator, so a person is there: started_by must be operator too")
        for name, policy in self.policies.items():
            if policy.bundle is not None and len(self.tasks) > 1:
                raise ValueError(
                    f"policies.{name}.bundle names one bundle for {len(self.tasks)} tasks; give `bundles`, a folder "
                    "that has one for each"
                )
        return self

    @property
    def by_bundle(self) -> list[str]:
        """The policies that are bundles, not remote."""
        return [name for name, one in self.policies.items() if one.remote is None]

    @property
    def sha256(self) -> str:
        """Of what it says, whatever its comments and layout."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def trials(self) -> list[Trial]:
        """All trials in their order."""
        plan = {task: {name: one.trials for name, one in of.conditions.items()} for task, of in self.tasks.items()}
        across = self.blocks == "across_tasks"
        return schedule(plan, list(self.policies), self.order_seed, self.first_seed, across)

    def instructions(self, trial: Trial) -> str:
        """How a person sets the table for a trial."""
        task = self.tasks[trial.task]
        return " ".join(filter(None, (task.instructions, task.conditions[trial.condition].instructions)))

    def bundle(self, policy: str, task: str, folder: Path, shipped: Path) -> Path:
        """Where the bundle of a policy is for a task. `folder` holds the protocol, `shipped` what ships."""
        chosen = self.policies[policy]
        if chosen.bundle is not None:
            return (folder / chosen.bundle).resolve()
        return ((folder / chosen.bundles) if chosen.bundles is not None else shipped).resolve() / task

    def with_stages(self, stages: Mapping[str, tuple[str, ...]]) -> Protocol:
        """The same, with stages by task where the protocol itself names none."""
        tasks = {
            name: plan if plan.stages else plan.model_copy(update={"stages": stages.get(name, ())})
            for name, plan in self.tasks.items()
        }
        return self.model_copy(update={"tasks": tasks})

    def check_different(self, hashes: Mapping[tuple[str, str], str]) -> None:
        """Raises ProtocolError where two policies are one and the same. `hashes` of contents, by policy and task."""
        for task in self.tasks:
            known: dict[str, str] = {}
            for name in self.policies:
                other = known.setdefault(hashes[name, task], name)
                if other != name:
                    raise ProtocolError(
                        f"protocol {self.name}: policies {other} and {name} are the same bundle at {task} "
                        f"({hashes[name, task]}); name two different ones"
                    )


def load(path: Path | str) -> Protocol:
    """The protocol in a YAML file. Raises ProtocolError naming every wrong field; a name that is given twice is one."""
    try:
        document = read_document(Path(path), "a protocol", "config/protocols/")
    except RigError as error:
        raise ProtocolError(str(error)) from error
    return parse(document, str(path))


def parse(document: dict[str, Any], source: str) -> Protocol:
    """The protocol in an already read document; `source` names it in errors. Raises ProtocolError."""
    try:
        return Protocol.model_validate(document)
    except ValidationError as error:
        lines = [f"{source}: {_said(detail)}" for detail in error.errors()]
        raise ProtocolError("\n".join(lines)) from error


def from_flags(
    tasks: str,
    conditions: str,
    trials: int,
    first_seed: int,
    bundles: Path | None,
    time_limit_s: float | None = None,
    remote: Path | None = None,
) -> Protocol:
    """The protocol that flags describe: `a,b`, `id:50,colour`, and how often where no count is named.

    The policy is the bundles in a folder, or a remote one. Raises ProtocolError.
    """
    names = [task.strip() for task in tasks.split(",")]
    if len(set(names)) != len(names):
        raise ProtocolError(f"tasks {tasks!r} name one twice; name each once")
    plan = {"conditions": condition_counts(conditions, trials), "time_limit_s": time_limit_s}
    document = {
        "name": "flags",
        "title": f"Trials of {', '.join(names)}",
        "tasks": dict.fromkeys(names, plan),
        "policies": {"remote": {"remote": remote}} if remote is not None else {SHIPPED: {"bundles": bundles}},
        "first_seed": first_seed,
    }
    return parse(document, "the flags")


def of_parameters(given: Mapping[str, Any]) -> tuple[Protocol, Path, str]:
    """The protocol that trial_node's parameters mean, the folder that its paths are relative to, and what to call it.

    `given` has all of `PARAMETERS`. Raises ProtocolError.
    """
    if given["protocol"]:
        path = Path(given["protocol"])
        return load(path), path.parent, str(path)
    flags = {name: given[name] for name in ("tasks", "conditions", "trials", "first_seed")}
    places: dict[str, Any] = {name: Path(given[name]) if given[name] else None for name in ("bundles", "remote")}
    return from_flags(**flags, **places, time_limit_s=given["time_limit_s"] or None), Path(), "the flags"


def condition_counts(text: str, default: int) -> dict[str, int]:
    """`id:50,colour` -> {"id": 50, "colour": default}. Raises ProtocolError for a count that is no number."""
    counts: dict[str, int] = {}
    for part in text.split(","):
        name, _, count = part.strip().partition(":")
        if count and not count.isdecimal():
            raise ProtocolError(f"conditions: {part!r}: the count after the colon is a whole number, like id:50")
        if name in counts:
            raise ProtocolError(f"conditions: {name!r} is named twice in {text!r}; name each once")
        counts[name] = int(count) if count else default
    return counts


def check_conditions(protocol: Protocol, known: Conditions, source: str) -> None:
    """Raises ProtocolError for tasks and conditions that a simulator has not. `known`: conditions by task."""
    for task, plan in protocol.tasks.items():
        if task not in known:
            raise ProtocolError(f"{source}: tasks.{task}: no such task; there are {', '.join(known)}")
        for condition in plan.conditions:
            if condition not in known[task]:
                raise ProtocolError(
                    f"{source}: tasks.{task}.conditions.{condition}: no such condition; {task} has "
                    f"{', '.join(known[task])}"
                )


def check_rig(protocol: Protocol, rig: Rig, source: str) -> None:
    """Raises ProtocolError where a protocol asks of a real table what only a simulated one can do."""
    if rig.simulation is not None:
        return
    for name, found, wanted in (
        ("scored_by", protocol.scored_by, "operator"), ("started_by", protocol.started_by, "operator"),
    ):  # fmt: skip
        if found != wanted:
            raise ProtocolError(f"{source}: {name} is {found!r}; on {rig.name}, a real table, it must be {wanted!r}")
    for task, plan in protocol.tasks.items():
        if plan.time_limit_s is None:
            raise ProtocolError(f"{source}: tasks.{task}.time_limit_s: missing; a real table has no limit of its own")


def _said(detail: Any) -> str:
    field = ".".join(str(part) for part in detail["loc"] if part != "[key]") or "(protocol)"
    if detail["type"] == "missing":
        return f"{field}: missing; add it"
    if detail["type"] == "extra_forbidden":
        return f"{field}: unknown field (value {detail['input']!r}); config/protocols/ has examples"
    value = detail["input"]
    shown = f" is {value!r}" if isinstance(value, str | int | float | list | tuple) else ""
    return f"{field}{shown}: {detail['msg'].removeprefix('Value error, ')}"
