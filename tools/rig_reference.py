"""Writes the tables of docs/rig.md from the schema: `python tools/rig_reference.py`. A test compares them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from xdistill_ros.rig import Rig

PAGE = Path(__file__).resolve().parents[1] / "docs" / "rig.md"
MARK = "<!-- From here on written by tools/rig_reference.py. -->\n"


def sections() -> str:
    """A section for each part of the rig, the whole rig first."""
    return "\n".join(_section(model) for model in _models(Rig))


def page() -> str:
    """The page as it should be: what a person wrote, then the tables."""
    return PAGE.read_text(encoding="utf-8").partition(MARK)[0] + MARK + "\n" + sections()


def _models(model: type[BaseModel]) -> list[type[BaseModel]]:
    found = [model]
    for field in model.model_fields.values():
        for inner in _models_in(field.annotation):
            found += [one for one in _models(inner) if one not in found]
    return found


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _section(model: type[BaseModel]) -> str:
    properties = model.model_json_schema()["properties"]
    rows = [_row(name, properties[name], field.is_required()) for name, field in model.model_fields.items()]
    words = (model.__doc__ or "").strip()
    return f"## {model.__name__}\n\n{words}\n\n| field | allowed | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _row(name: str, schema: dict[str, Any], required: bool) -> str:
    default = schema.get("default")
    simple = isinstance(default, int | float | str)
    optional = "" if required else f", default {default}" if simple else ", may be left out"
    return f"| `{name}` | {_allowed(schema)}{optional} | {schema.get('description', '')} |"


def _allowed(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return _allowed(schema["anyOf"][0])
    if "oneOf" in schema:
        return " or ".join(map(_allowed, schema["oneOf"]))
    if "$ref" in schema:
        return f"[{(part := schema['$ref'].rpartition('/')[2])}](#{part.lower()})"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"{schema['const']}"
    if schema["type"] == "object":
        return f"name: {_allowed(schema['additionalProperties'])}"
    if schema["type"] == "array":
        items = schema.get("prefixItems", [schema.get("items")])
        return f"{f'{len(items)} x' if len(items) > 1 else 'list of'} {_allowed(items[0])}"
    return _range(schema)


def _range(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, kind = schema.get("exclusiveMinimum"), schema["type"]
    if low is not None and high is not None:
        return f"{kind}, {low:g} to {high:g}"
    if above is not None:
        return f"{kind}, above {above:g}" + (f", up to {high:g}" if high is not None else "")
    return str(kind)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
