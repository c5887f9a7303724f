"""How a scene looks: colours of the task's materials, table top, lights. Never changes geometry or physics."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import mujoco
import numpy as np

from . import textures

RGB = tuple[float, float, float]
TABLE = "table"  # the table top's geom
LIGHTS = ("key_light", "fill_light")


@dataclass(frozen=True)
class Lighting:
    """Two directional lights and what comes from everywhere. Directions point the way the light travels."""

    key_direction: tuple[float, float, float] = (-0.45, 0.40, -0.80)
    key_rgb: RGB = (0.50, 0.49, 0.46)
    fill_direction: tuple[float, float, float] = (-0.55, -0.65, -0.30)
    fill_rgb: RGB = (0.26, 0.27, 0.30)
    ambient_rgb: RGB = (0.30, 0.30, 0.31)


@dataclass(frozen=True)
class Look:
    """A whole appearance. `paint` maps the task's material names to colours, each in [0, 1]."""

    paint: dict[str, RGB] = field(default_factory=dict)
    table: str = textures.NOMINAL
    table_tint: RGB = (1.0, 1.0, 1.0)
    lighting: Lighting = Lighting()


def table_material(name: str) -> str:
    """The material of a table top."""
    return f"table_{name}"


def apply(model: mujoco.MjModel, look: Look) -> None:
    """Makes `model` look so; what is drawn next shows it. Raises KeyError for a material or table unknown here."""
    for name, rgb in look.paint.items():
        model.mat_rgba[model.material(name).id, :3] = rgb
    # A material's texture is fixed when the renderer is made, so each table top is a material of its own.
    top = model.material(table_material(look.table)).id
    model.geom(TABLE).matid[0] = top
    model.mat_rgba[top, :3] = look.table_tint
    lighting = look.lighting
    parts = zip(
        LIGHTS, (lighting.key_direction, lighting.fill_direction), (lighting.key_rgb, lighting.fill_rgb), strict=True
    )
    for name, direction, rgb in parts:
        light = model.light(name)
        light.dir[:] = np.array(direction) / np.linalg.norm(direction)
        light.diffuse[:] = rgb
        light.specular[:] = 0.3 * np.array(rgb)
    model.vis.headlight.ambient[:] = lighting.ambient_rgb


def everyday(look: Look, rng: np.random.Generator) -> Look:
    """The small differences between two recordings of one day: brightness and colour of the light, in distribution."""
    light = look.lighting
    key = np.clip(np.array(light.key_rgb) * rng.uniform(0.95, 1.05) * rng.uniform(0.98, 1.02, 3), 0, 1)
    ambient = np.clip(np.array(light.ambient_rgb) * rng.uniform(0.95, 1.05), 0, 1)
    return replace(look, lighting=replace(light, key_rgb=rgb(key), ambient_rgb=rgb(ambient)))


def rgb(values: np.ndarray) -> RGB:
    """Three floats as a plain tuple."""
    red, green, blue = (float(value) for value in values)
    return red, green, blue
