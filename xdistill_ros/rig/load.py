"""Reads a rig file and says, when it is wrong: file, field, value, what is allowed, what to do."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from . import calibration
from .schema import Rig


class RigError(ValueError):
    """A rig file that cannot be used; the message names every wrong field."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML where naming a key twice (two cameras called `front`) is an error instead of the last one winning."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """The mapping as written, before merge keys bring in what its own keys may override."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        first_lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="names are plain words", problem_mark=key.start_mark)
            if key.value in first_lines:
                raise yaml.MarkedYAMLError(
                    problem=f"'{key.value}' is named twice here (first on line {first_lines[key.value]}); "
                    "give the second another name",
                    problem_mark=key.start_mark,
                )
            first_lines[key.value] = key.start_mark.line + 1
        return node


def load(path: Path | str, *, calibrated: bool = True) -> Rig:
    """The rig in the YAML file `path`; its URDF path is made absolute. Raises RigError.

    What lies in its folder `calibration` goes before what the file says, unless `calibrated` is false.
    """
    path = Path(path)
    document = read_document(path, "a rig file", "config/rigs/")
    rig = parse(document, str(path))
    urdf = (path.parent / rig.arm.urdf).resolve()
    if not urdf.is_file():
        raise RigError(f"{path}: arm.urdf: no file {urdf}; the path is relative to the rig file")
    rig = rig.model_copy(update={"arm": rig.arm.model_copy(update={"urdf": urdf})})
    if rig.calibration is None or not calibrated:
        return rig
    try:
        return calibration.apply(rig, calibration.read(path.parent / rig.calibration))
    except calibration.CalibrationError as error:
        raise RigError(f"{path}: calibration: {error}") from error


def read_document(path: Path, what: str, examples: str) -> dict[str, Any]:
    """The mapping in the YAML file `path`, in which no key is named twice. Raises RigError.

    `what` it should be, and where `examples` of it ship, are for the sentence.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # a SafeLoader
    except OSError as error:
        raise RigError(f"{path}: cannot be read ({error.strerror}); those that ship are in {examples}") from error
    except UnicodeDecodeError as error:
        raise RigError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    except yaml.YAMLError as error:
        raise RigError(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise RigError(f"{path}: holds {type(document).__name__}, {what} is a mapping of fields")
    return document


def parse(document: dict[str, Any], source: str) -> Rig:
    """The rig in an already read document; `source` names it in errors. Raises RigError."""
    try:
        return Rig.model_validate(document)
    except ValidationError as error:
        lines = [f"{source}: {_describe(detail)}" for detail in error.errors()]
        raise RigError("\n".join(lines)) from error


def _describe(detail: ErrorDetails) -> str:
    field = ".".join(_written(detail["loc"])) or "(rig)"
    if detail["type"] == "extra_forbidden":
        return f"{field}: unknown field (value {detail['input']!r}); {_allowed_here(detail['loc'])}"
    if detail["type"] == "missing":
        return f"{field}: missing; add it"
    message = detail["msg"].removeprefix("Value error, ")
    value = detail["input"]
    shown = "" if isinstance(value, dict | BaseModel) else f" is {value!r}"
    return f"{field}{shown}: {message}{_unit_hint(field, value)}"


def _allowed_here(location: tuple[int | str, ...]) -> str:
    """What the mapping that holds the unknown field may hold, the likeliest first."""
    names = _fields_at(location[:-1])
    likely = difflib.get_close_matches(str(location[-1]), names, n=1, cutoff=0.5)
    meant = f"did you mean {likely[0]}? " if likely else ""
    return f"{meant}allowed: {', '.join(names)}"


def _written(location: tuple[int | str, ...]) -> list[str]:
    """The parts of a location that stand in the file: pydantic adds which kind of a union it took."""
    kept: list[str] = []
    models: list[type[BaseModel]] = [Rig]
    for part in map(str, location):
        chosen = [model for model in models if _kind(model) == part] if len(models) > 1 else []
        models = chosen or _entered(models, part)
        if not chosen and part != "[key]":
            kept.append(part)
    return kept


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    models: list[type[BaseModel]] = [Rig]
    for part in map(str, location):
        models = [model for model in models if _kind(model) == part] or _entered(models, part)
    return list(models[0].model_fields) if models else []


def _entered(models: list[type[BaseModel]], part: str) -> list[type[BaseModel]]:
    """The models that a field may hold; the same where it is the key of a dict, whose value's was already entered."""
    field = models[0].model_fields.get(part) if models else None
    return models if field is None else _models_in(field.annotation)


def _kind(model: type[BaseModel]) -> object:
    """The one value of a model's field `kind`, by which it is told from the others of its union."""
    field = model.model_fields.get("kind")
    return next(iter(get_args(field.annotation)), None) if field else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic models inside Optional[...], dict[..., ...] or a union of several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _unit_hint(field: str, value: object) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return ""
    if "_rad" in field and abs(value) > 6.30:
        return f". Degrees? {value} degrees is {value * 0.017453292519943295:.4f} in this unit"
    if ("_m" in field or "_m_" in field) and abs(value) > 5.0:
        return f". Millimetres? {value} mm is {value / 1000:.4f} m"
    if field.endswith("_s") and abs(value) > 10.0:
        return f". Milliseconds? {value} ms is {value / 1000:.4f} s"
    return ""
