"""Projection, the drawn chunk, and the film of a trial."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from xdistill_ros import resources
from xdistill_ros.rig import load
from xdistill_ros.rig.poses import pose_matrix
from xdistill_ros.trials import Outcome, Preview, Trial
from xdistill_ros.trials.overlay import STRIP_PX, caption, draw_preview
from xdistill_ros.trials.projection import optical_pose, project
from xdistill_ros.trials.video import TrialVideo

RIG = load(resources.config("rigs/sim_table.yaml"))
FRONT, WRIST = RIG.cameras["front"], RIG.cameras["wrist"]
TRIAL = Trial("move_cube", "id", 100_000)
GREY = np.full((480, 640, 3), 90, dtype=np.uint8)
PREVIEW = Preview(np.linspace([0.35, -0.1, 0.1], [0.45, 0.1, 0.1], 16), np.linspace(0.085, 0.0, 16))


def test_the_front_camera_sees_right_as_left_and_high_as_up() -> None:
    pixels, inside = project(np.array([[0.4, 0.1, 0.0], [0.4, -0.1, 0.0], [0.4, 0.1, 0.1]]), FRONT)
    assert inside.all()
    assert pixels[0, 0] > pixels[1, 0]  # it looks back at the arm: the base's +y is on its right
    assert pixels[2, 1] < pixels[0, 1]


vectors = arrays(np.float64, 3, elements=st.floats(-0.5, 0.5))


@given(point=vectors, turn=vectors)
def test_a_pixel_and_its_depth_lead_back_to_the_point(point: np.ndarray, turn: np.ndarray) -> None:
    parent = pose_matrix(turn, Rotation.from_rotvec(6 * turn).as_matrix())
    pose = optical_pose(WRIST, parent)
    in_camera = np.array([point[0], point[1], abs(point[2]) + 0.1])
    pixels, _ = project(pose[:3, :3] @ in_camera + pose[:3, 3], WRIST, parent)
    k = WRIST.intrinsics
    ray = [(pixels[0, 0] - k.cx_px) / k.fx_px, (pixels[0, 1] - k.cy_px) / k.fy_px, 1.0]
    np.testing.assert_allclose(np.array(ray) * in_camera[2], in_camera, atol=1e-9)


def test_a_point_behind_the_lens_has_no_pixel() -> None:
    pixels, inside = project(np.array([[2.0, 0.0, 0.55]]), FRONT)
    assert np.isnan(pixels).all()
    assert not inside.any()


def test_the_chunk_is_drawn_where_it_projects_to_and_the_picture_is_left_alone() -> None:
    drawn = draw_preview(GREY, PREVIEW, FRONT, RIG.gripper.open_width_m)
    at, _ = project(PREVIEW.positions_m, FRONT)
    first, last = at[0].round().astype(int), at[-1].round().astype(int)
    assert drawn[first[1], first[0]].tolist() == [255, 220, 40]
    assert drawn[last[1], last[0]].tolist() == [255, 0, 210]
    assert (GREY == 90).all()


def test_a_chunk_outside_the_picture_or_behind_the_lens_draws_nothing() -> None:
    behind = Preview(np.full((4, 3), [3.0, 0.0, 0.5]), np.zeros(4))
    far_away = Preview(np.linspace([0.4, 3.0, 0.0], [0.4, 4.0, 0.0], 4), np.zeros(4))
    for preview in (behind, far_away):
        assert (draw_preview(GREY, preview, FRONT, 0.085) == GREY).all()


def test_the_caption_stands_under_the_picture_and_changes_with_the_outcome() -> None:
    running = caption(GREY, TRIAL, 1.0, "policy")
    ended = caption(GREY, TRIAL, 1.0, "", Outcome(False, "time_limit"))
    assert running.shape == (480 + STRIP_PX, 640, 3)
    assert (running[:480] == GREY).all()
    assert (running != ended).any()


def film(path: Path, frames: int) -> Path | None:
    video = TrialVideo(path, TRIAL, FRONT, RIG.gripper.open_width_m)
    for k in range(frames):
        video.add(GREY, 5_000_000_000 + k * 50_000_000, "policy", PREVIEW)
    return video.close(Outcome(True, "success"))


def test_a_film_is_h264_with_every_frame_at_its_world_time_and_shows_the_outcome(tmp_path: Path) -> None:
    import av

    path = film(tmp_path / "videos" / "trial.mp4", frames=40)
    assert path == tmp_path / "videos" / "trial.mp4"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        times = [round(float(frame.time), 3) for frame in container.decode(stream)]
    assert times[:40] == pytest.approx([k * 0.05 for k in range(40)], abs=1e-3)
    assert times[-1] == pytest.approx(39 * 0.05 + 0.05 + 1.5, abs=0.01)
    assert path.read_bytes().find(b"moov") < path.read_bytes().find(b"mdat")  # plays before it is wholly loaded


def test_a_frame_that_is_not_newer_is_left_out(tmp_path: Path) -> None:
    import av

    video = TrialVideo(tmp_path / "a.mp4", TRIAL, FRONT, 0.085)
    for stamp_ns in (100, 100, 50, 100_000_000):
        video.add(GREY, stamp_ns, "hold")
    video.close(Outcome(False, "time_limit"))
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 4  # two, and the outcome's beginning and end


def test_a_film_without_frames_leaves_no_file(tmp_path: Path) -> None:
    assert film(tmp_path / "a.mp4", frames=0) is None
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_film_does_not_have_its_final_name(tmp_path: Path) -> None:
    video = TrialVideo(tmp_path / "a.mp4", TRIAL, FRONT, 0.085)
    video.add(GREY, 1, "policy")
    assert not (tmp_path / "a.mp4").exists()
    video.close(Outcome(True, "success"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
