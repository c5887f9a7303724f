"""`MODEL_CARD.md`: what a bundle was made of and for, what it was measured to do, and what nobody knows of it.

Headings follow "Model Cards for Model Reporting" (Mitchell et al. 2019, arXiv 1810.03993).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from xdistill_ros.episodes import Store
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.manifest import CONDITION_GRAPH, STEP_GRAPH, Manifest
from xdistill_ros.trials import TrialResult, rates

from .stages import Parity


@dataclass(frozen=True)
class Data:
    """The demonstrations, as their store tells of them."""

    store: str
    episodes: int
    minutes: float
    operators: tuple[str, ...]
    seeds: tuple[int, ...]
    first: str
    last: str

    @classmethod
    def of(cls, store: Store) -> Data:
        """Of a store with at least one episode."""
        told = [episode.about for episode in store.episodes]
        days = sorted(f"{one.started_at:%Y-%m-%d}" for one in told)
        return cls(
            store=store.path.name,
            episodes=len(told),
            minutes=sum(one.duration_s for one in told) / 60.0,
            operators=tuple(sorted({one.operator for one in told if one.operator})),
            seeds=tuple(one.seed for one in told if one.seed is not None),
            first=days[0],
            last=days[-1],
        )


@dataclass(frozen=True)
class Networks:
    """What the graphs were made of."""

    encoder: str
    encoder_parameters: int
    denoiser: str
    denoiser_parameters: int


def card(
    bundle: Bundle,
    parity: Parity,
    networks: Networks,
    data: Data | None,
    training: Mapping[str, Any],
    results: Sequence[TrialResult],
) -> str:
    """The page; `training` is the run's configuration."""
    manifest = bundle.manifest
    parts = [
        _opening(bundle),
        _use(manifest),
        _data(data, manifest),
        _networks(bundle, networks, parity),
        _parity(parity),
        _results(results),
        _origin(manifest, training),
    ]
    return "\n".join(parts)


def _opening(bundle: Bundle) -> str:
    manifest, rig = bundle.manifest, bundle.manifest.rig
    return f"""# {manifest.name}

A diffusion policy for the task `{manifest.task}` on the rig `{rig.name}` (arm {rig.arm.model}, cameras
{", ".join(rig.cameras)}). Bundle `{bundle.hash}`, made {manifest.created}.

    xdistill up policy --rig RIG.yaml --bundle {bundle.path.name}
"""


def _use(manifest: Manifest) -> str:
    rig = manifest.rig
    space = rig.policy.action_space
    proposed = rig.policy.prediction_horizon - manifest.past_actions
    ranges = _table(
        ("channel", "smallest", "largest"),
        (
            (f"`{name}`", f"{low:.4g}", f"{high:.4g}")
            for name, low, high in zip(
                rig.channels, manifest.statistics.action.minimum, manifest.statistics.action.maximum, strict=True
            )
        ),
    )
    return f"""## Intended use

This task, on this rig: the same arm, gripper and cameras in the same places. {rig.policy.rate_hz:g} actions a second;
of {proposed} that it proposes {rig.policy.action_horizon} are executed before the next observation is acted on.
What runs it refuses a rig that differs in what matters, and the arm's safety envelope stays on.

## Limits

- It knows what its demonstrations showed. Objects, places, light and backgrounds that they did not show may fail it,
  and it does not know when: there is no measure of its own doubt.
- It has no goal but this one, and sees no force.
- Nobody has judged it safe beside people. The envelope bounds motion; it does not make a policy right.
- Actions were, in the training set ({space.kind}, {space.reference} to the network, metres and radians):

{ranges}"""


def _data(data: Data | None, manifest: Manifest) -> str:
    if data is None:
        return "## Data\n\nNo episode store was named at export; what is known stands under Provenance.\n"
    rows = [
        ("store", data.store),
        ("episodes", str(data.episodes)),
        ("length", f"{data.minutes:.1f} min"),
        ("recorded", data.first if data.first == data.last else f"{data.first} to {data.last}"),
        ("operators", ", ".join(data.operators) or "not named"),
        ("seeds of simulated scenes", _ranges(data.seeds) or "none: a real table"),
        ("rig", manifest.rig.name),
    ]
    return f"## Data\n\n{_table(('', ''), rows)}"


def _networks(bundle: Bundle, networks: Networks, parity: Parity) -> str:
    manifest = bundle.manifest
    schedule, preprocess = manifest.schedule, next(iter(manifest.preprocess.values()))
    width, height = preprocess.output_size
    denoiser_mb = sum((bundle.path / name).stat().st_size for name in (CONDITION_GRAPH, STEP_GRAPH)) / 1e6
    rows = [
        ("encoder", networks.encoder),
        ("its parameters", f"{networks.encoder_parameters:,}"),
        ("its graph", f"{bundle.encoder_path.stat().st_size / 1e6:.1f} MB"),
        ("image", f"{width}x{height} of {preprocess.source_width_px}x{preprocess.source_height_px} px"),
        ("feature", f"{manifest.encoder.feature_dim} a camera"),
        ("proprioception", ", ".join(manifest.proprio)),
        ("denoiser", networks.denoiser),
        ("its parameters", f"{networks.denoiser_parameters:,}"),
        ("its graphs", f"{denoiser_mb:.1f} MB"),
        ("sampling", f"DDIM, {schedule.inference_steps} of {schedule.num_train_timesteps} steps, "
                     f"prediction of {schedule.prediction_type}"),
        ("weights stored as", parity.precision),
        ("ONNX opset", str(manifest.provenance["onnx_opset"])),
    ]  # fmt: skip
    return f"## Networks\n\n{_table(('', ''), rows)}"


def _parity(parity: Parity) -> str:
    rows = [(one.name, f"{one.largest:.3g}", f"{one.difference:.1e}") for one in parity.stages]
    table = _table(("stage", "largest value", "largest difference"), rows)
    return f"""## Parity

The trained policy in torch against this bundle in ONNX Runtime, on the reference observation:
{parity.verdict}.
Steps are at network scale, where 2 is the range of a channel; actions in metres, radians and rotation entries.

{table}"""


def _results(results: Sequence[TrialResult]) -> str:
    if not results:
        return "## Results\n\nNone were given at export. `xdistill up demo` measures on the simulated table.\n"
    rows = [
        (task, condition, f"{rate.successes}/{rate.trials}", f"{rate.low:.0%} to {rate.high:.0%}")
        for (task, condition), rate in rates(results).items()
    ]
    bundles = ", ".join(sorted({f"{one.provenance.bundle} {one.provenance.bundle_sha256[:12]}" for one in results}))
    table = _table(("task", "condition", "successes/trials", "Wilson 95%"), rows)
    return f"## Results\n\nMeasured with the bundle {bundles}.\n\n{table}"


def _origin(manifest: Manifest, training: Mapping[str, Any]) -> str:
    text = "## Provenance\n\n" + _table(("", ""), ((name, str(value)) for name, value in manifest.provenance.items()))
    if training:
        text += f"\n## Training\n\n```yaml\n{yaml.safe_dump(dict(training), sort_keys=False, width=110)}```\n"
    return text


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _ranges(numbers: Sequence[int]) -> str:
    """`0-24, 30` of the numbers in any order."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][-1] == number - 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)
