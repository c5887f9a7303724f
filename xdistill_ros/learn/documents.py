"""Configurations: read from YAML, changed field by field, checked against a model, every wrong field named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from xdistill_ros.rig.base import Strict

from .errors import LearnError

Document = dict[str, Any]


S = TypeVar("S", bound=Strict)


def read(path: Path) -> Document:
    """The document in a YAML file. Raises LearnError."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LearnError(f"{path}: cannot be read as a configuration ({error})") from error
    if not isinstance(found, dict):
        raise LearnError(f"{path}: holds {type(found).__name__}, a configuration is a mapping of fields")
    return found


def assigned(text: str) -> Document:
    """The document of `FIELD=VALUE`, the field dotted and the value YAML. Raises LearnError."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise LearnError(f"--set {text}: give FIELD=VALUE, such as seed=3, a field of a field as image.cache=disk")
    try:
        return nested(name, yaml.safe_load(value))
    except yaml.YAMLError as error:
        raise LearnError(f"--set {text}: the value is not readable as YAML ({error})") from error


def nested(name: str, value: Any) -> Document:
    """The document in which the field of a dotted name has `value`."""
    for part in reversed(name.split(".")):
        value = {part: value}
    return dict(value)


def changed(files: Sequence[Path], options: Mapping[str, Any], assignments: Sequence[str]) -> Document:
    """What a command line asks for: files, the later before the earlier; over them options by their dotted names,
    None where an option is not given; over them assignments `FIELD=VALUE`. Raises LearnError."""
    given = [nested(name, value) for name, value in options.items() if value is not None]
    return merged([*map(read, files), *given, *map(assigned, assignments)])


def merged(documents: Sequence[Document]) -> Document:
    """One document of several, the later before the earlier."""
    together: Document = {}
    for document in documents:
        together = _over(together, document)
    return together


def checked(model: type[S], document: Document, source: str, missing: Mapping[str, str] | None = None) -> S:
    """The `model` of a document. Raises LearnError naming every wrong field; `missing` says what to do about some."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        lines = [f"{source}: {_said(detail, missing or {})}" for detail in error.errors()]
        raise LearnError("\n".join(lines)) from error


def load(model: type[S], path: Path) -> S:
    """The `model` in a YAML file. Raises LearnError naming every wrong field."""
    return checked(model, read(path), str(path))


def _over(below: Document, above: Document) -> Document:
    both = dict(below)
    for name, value in above.items():
        deeper = isinstance(value, dict) and isinstance(both.get(name), dict)
        both[name] = _over(both[name], value) if deeper else value
    return both


def _said(detail: ErrorDetails, missing: Mapping[str, str]) -> str:
    field = ".".join(str(part) for part in detail["loc"]) or "(configuration)"
    if detail["type"] == "missing":
        return f"{field} is missing: {missing.get(field, 'add it')}"
    value = detail["input"]
    shown = f" is {value!r}" if isinstance(value, str | int | float | list | tuple) else ""
    return f"{field}{shown}: {detail['msg'].removeprefix('Value error, ')}"
