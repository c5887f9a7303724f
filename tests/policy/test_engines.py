"""TensorRT's engines: built where sessions look for them, kept only if the policy stays the same. A stand-in at the
boundary to ONNX Runtime offers the provider, since no TensorRT is here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from typer.testing import CliRunner

from xdistill_ros.cli.main import app
from xdistill_ros.perception import engines as building
from xdistill_ros.perception.session import CPU, TENSORRT
from xdistill_ros.policy import engines
from xdistill_ros.policy.bundle import Bundle
from xdistill_ros.policy.manifest import BundleError

Session = ort.InferenceSession


class TensorRt:
    """Sessions as ONNX Runtime with TensorRT has them: an engine file per graph, kept where the options say."""

    def __init__(self) -> None:
        self.built: list[Path] = []
        self.used: list[str] = []
        self.falls_back, self.keeps, self.error = False, True, 0.0

    def open(self, path: str, options: Any = None, providers: Any = None) -> Any:
        names = [one if isinstance(one, str) else one[0] for one in providers]
        session = Session(path, options, providers=[CPU])
        if TENSORRT not in names or self.falls_back:
            return session
        told = dict(providers[names.index(TENSORRT)][1])
        assert told["trt_engine_cache_enable"]
        engine = Path(told["trt_engine_cache_path"]) / f"TensorrtExecutionProvider_{Path(path).stem}_sm87.engine"
        if engine.is_file():
            self.used.append(engine.name)
        elif self.keeps:
            engine.write_bytes(b"an engine")
            self.built.append(engine)
        return Opened(session, self.error)


class Opened:
    """A session on TensorRT, whose results are a little off."""

    def __init__(self, session: Any, error: float) -> None:
        self._session, self._error = session, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_providers(self) -> list[str]:
        return [TENSORRT, CPU]

    def run(self, *arguments: Any) -> Any:
        return [one + np.float32(self._error) for one in self._session.run(*arguments)]


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> TensorRt:
    made = TensorRt()
    monkeypatch.setattr(ort, "get_available_providers", lambda: [TENSORRT, CPU])
    monkeypatch.setattr(ort, "InferenceSession", made.open)
    return made


def engines_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*.engine")}


def test_without_the_provider_a_line_says_so(folder):
    ended = CliRunner().invoke(app, ["export", str(folder)])
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.strip() == (
        f"no TensorRT engines: this ONNX Runtime offers {', '.join(ort.get_available_providers())}; "
        "see docs/how-to/gpu.md"
    )


def test_engines_are_built_ahead_and_found_by_the_sessions_that_run(folder, tmp_path, tensorrt):
    bundle = Bundle.read(folder)
    assert bundle.encoder("front", threads=1).provider == CPU  # nothing is built where a robot waits
    ended = CliRunner().invoke(app, ["export", str(folder)])
    assert ended.exit_code == 0, ended.output
    assert "TensorRT's engines are built; they differ from exact sessions: feature.front by 0.000%" in ended.stdout
    assert engines_in(folder / "tensorrt") == {f"{TENSORRT}_{name}_sm87.engine" for name in ("condition", "step")}
    assert len(engines_in(tmp_path / "models" / "shared" / "tensorrt")) == 1
    tensorrt.used.clear()
    assert bundle.encoder("front", threads=1).provider == TENSORRT
    assert tensorrt.used == [f"{TENSORRT}_{bundle.encoder_path.stem}_sm87.engine"]
    assert len(tensorrt.built) == 3


def test_engines_that_change_the_policy_are_taken_away(folder, tmp_path, tensorrt):
    tensorrt.error = 0.2
    with pytest.raises(BundleError, match=r"with TensorRT's engines .* differs by .*%, allowed is 1%"):
        engines.build(Bundle.read(folder))
    assert engines_in(tmp_path) == set()
    assert Bundle.read(folder).encoder("front", threads=1).provider == CPU


@pytest.mark.parametrize(
    ("fault", "message"), [("falls_back", "fell back to CPU.*lacks the libraries"), ("keeps", "kept no engine of it")]
)
def test_a_build_that_gives_no_engine_says_why(folder, tmp_path, tensorrt, fault, message):
    setattr(tensorrt, fault, not getattr(tensorrt, fault))
    with pytest.raises(BundleError, match=message):
        engines.build(Bundle.read(folder))
    assert not (tmp_path / "models" / "shared" / "tensorrt").exists()


@pytest.mark.usefixtures("tensorrt")
def test_a_graph_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(ValueError, match=r"broken\.onnx: TensorRT cannot build it"):
        building.build(tmp_path / "broken.onnx")
