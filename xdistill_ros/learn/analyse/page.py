"""The page about an analysis: what it says is here and in the template, how it looks in the template alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .around import REACH
from .pictures import COLOURS
from .results import Results

KINDS = {"cam": "Grad-CAM", "saliency": "saliency"}


def html(results: Results, maps: Mapping[str, str], stages: Sequence[str]) -> str:
    """The page. maps: an SVG by encoder; stages: their names, in the order of their colours."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # a tenth of a second

    templates = Environment(
        loader=PackageLoader("xdistill_ros.learn.analyse"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return templates.get_template("page.html").render(
        results=results, maps=maps, stages=list(enumerate(stages)), colours=COLOURS, kinds=KINDS,
        number={name: index for index, name in enumerate(stages)}, reach=f"{REACH:.0%}",
        looking=[one for one in results.encoders if one.around],
        cameras=list(dict.fromkeys(camera for one in results.encoders for camera in one.inputs)),
        columns=results.heat_columns,
        defined=any(one.silhouette_of_features for one in results.encoders),
        policies=[one.name for one in results.encoders if one.policy],
    )  # fmt: skip
