"""The encoder's session: threads, providers, shapes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.tiny_bundle import FEATURE_DIM, SIZE, encoder_graph
from xdistill_ros.perception import GraphError, GraphSession, Preprocess
from xdistill_ros.perception.session import CPU, CUDA

INPUT = {"image": (1, 3, SIZE[1], SIZE[0])}
OUTPUT = {"feature": (1, FEATURE_DIM)}


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "encoder.onnx"
    path.write_bytes(encoder_graph({"w": np.eye(3, FEATURE_DIM, dtype=np.float32)}))
    return path


def test_a_frame_becomes_one_feature(bundle):
    pixels = np.full((480, 640, 3), 128, np.uint8)
    tensor = Preprocess(bundle.manifest.preprocess["front"])(pixels)
    feature = bundle.encoder("front", threads=1).encode(tensor)
    assert feature.shape == (FEATURE_DIM,)
    assert feature.dtype == np.float32
    assert np.isfinite(feature).all()


def test_the_number_of_threads_does_not_change_the_feature(bundle):
    tensor = np.random.default_rng(0).standard_normal((1, 3, SIZE[1], SIZE[0]), dtype=np.float32)
    one, two = (bundle.encoder("front", threads=threads).encode(tensor) for threads in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_tensor_of_another_shape_or_type_is_refused(bundle):
    encoder = bundle.encoder("front", threads=1)
    with pytest.raises(ValueError, match=r"\(1, 3, 10, 10\), wanted float32 \(1, 3, 24, 32\)"):
        encoder.encode(np.zeros((1, 3, 10, 10), np.float32))
    with pytest.raises(ValueError, match="float64"):
        encoder.encode(np.zeros((1, 3, 24, 32)))


def test_the_provider_in_use_is_known_and_a_required_one_that_fell_back_is_refused(graph):
    session = GraphSession(graph, INPUT, OUTPUT, threads=1, require_provider=CPU)
    assert session.provider == CPU
    with pytest.raises(GraphError, match=f"required is {'NoSuch'}ExecutionProvider"):
        GraphSession(graph, INPUT, OUTPUT, threads=1, require_provider="NoSuchExecutionProvider")


def test_a_gpu_that_is_required_and_absent_is_refused_with_what_to_install(graph, monkeypatch):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: [CPU])
    with pytest.raises(GraphError, match=r"runs on CPU.*required is CUDA.*install the gpu extra"):
        GraphSession(graph, INPUT, OUTPUT, threads=1, require_provider=CUDA)


def test_a_graph_of_other_shapes_is_refused_naming_both(graph):
    with pytest.raises(GraphError, match=r"'image' has shape \[1, 3, 24, 32\], wanted \[1, 3, 99, 32\]"):
        GraphSession(graph, {"image": (1, 3, 99, 32)}, OUTPUT, threads=1)
    with pytest.raises(GraphError, match=r"'feature' has shape \[1, 6\], wanted \[1, 512\]"):
        GraphSession(graph, INPUT, {"feature": (1, 512)}, threads=1)


def test_a_graph_of_other_names_is_refused_naming_both(graph):
    with pytest.raises(GraphError, match=r"inputs are \['image'\], wanted \['pixels'\]"):
        GraphSession(graph, {"pixels": INPUT["image"]}, OUTPUT, threads=1)


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(GraphError, match=r"broken\.onnx: ONNX Runtime cannot open it"):
        GraphSession(path, INPUT, OUTPUT, threads=1)
    with pytest.raises(GraphError, match="cannot open it"):
        GraphSession(tmp_path / "absent.onnx", INPUT, OUTPUT, threads=1)
