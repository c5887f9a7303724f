"""Makes a DiffusionPolicy of random weights with LeRobot itself, saves it, and writes what it samples, for a test.

Reads settings.json, stats.json and given.npz in the folder; leaves `checkpoint` and wanted.npz there. Runs in the
environment that tools/lerobot_reads.py describes, which `XDISTILL_LEROBOT_PYTHON` names for
tests/learn/test_export_lerobot.py.

    lerobot/bin/python tools/lerobot_samples.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import torch


def main(folder: Path) -> None:
    """As `lerobot-eval` would run it: preprocessor, select_action until its queue is empty, postprocessor."""
    # torchvision's compiled operators may be of another release than torch; only its Python is needed here
    sys.modules.setdefault("torchvision._meta_registrations", ModuleType("torchvision._meta_registrations"))
    from lerobot.configs.types import FeatureType, NormalizationMode, PolicyFeature
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
    from lerobot.policies.diffusion.processor_diffusion import make_diffusion_pre_post_processors

    settings = json.loads((folder / "settings.json").read_text())
    settings.pop("type")
    for part in ("input_features", "output_features"):
        settings[part] = {
            name: PolicyFeature(FeatureType(one["type"]), tuple(one["shape"])) for name, one in settings[part].items()
        }
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    modes = settings.pop("normalization_mapping")
    settings["normalization_mapping"] = {name: NormalizationMode(mode) for name, mode in modes.items()}
    settings["n_action_steps"] = settings["horizon"] - settings["n_obs_steps"] + 1
    torch.manual_seed(0)
    policy = DiffusionPolicy(DiffusionConfig(**settings, device="cpu")).eval()
    stats = {
        name: {key: torch.tensor(value) for key, value in one.items()}
        for name, one in json.loads((folder / "stats.json").read_text()).items()
    }
    before, after = make_diffusion_pre_post_processors(policy.config, stats)
    for saved in (policy, before, after):
        saved.save_pretrained(folder / "checkpoint")
    path = folder / "checkpoint" / "config.json"
    path.write_text(json.dumps({"type": "diffusion", **json.loads(path.read_text())}))  # draccus after 0.10 omits it

    given = np.load(folder / "given.npz")
    noise, actions = torch.from_numpy(given["noise"])[None], []
    cameras = [name.removeprefix("pixels_") for name in given.files if name.startswith("pixels_")]
    for step in range(len(given["state"])):
        batch = {
            f"observation.images.{name}": torch.from_numpy(given[f"pixels_{name}"][step]).permute(2, 0, 1) / 255
            for name in cameras
        }
        batch["observation.state"] = torch.from_numpy(given["state"][step]).float()
        seen = before(batch)
        if step == 0:
            policy.reset()
        if step + 1 < len(given["state"]):  # fills the queue of observations; what it samples is thrown away
            policy.select_action(seen, noise=noise)
            policy._queues["action"].clear()
            continue
        actions.append(after(policy.select_action(seen, noise=noise)))
        while policy._queues["action"]:
            actions.append(after(policy._queues["action"].popleft()))
    np.savez(folder / "wanted.npz", actions=torch.cat(actions).numpy())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
