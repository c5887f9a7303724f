"""A camera names its driver and settings; what contradicts itself or another camera is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from xdistill_ros import resources
from xdistill_ros.rig import Rig, RigError, parse
from xdistill_ros.rig.drivers import V4L2, External, RealSense, Video

DOCUMENT: dict[str, Any] = yaml.safe_load(resources.config("rigs/sim_table.yaml").read_text(encoding="utf-8"))
BY_ID = "/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920_8BB96F6F-video-index0"


def table(front: object, wrist: object = None, *, simulated: bool = False, **fields: object) -> Rig:
    """The table as hardware, with these drivers and further fields of the front camera."""
    document = copy.deepcopy(DOCUMENT)
    if not simulated:
        document["simulation"] = None
    document["cameras"]["front"] |= {"driver": front} | fields
    document["cameras"]["wrist"]["driver"] = wrist or (None if simulated else {"kind": "external"})
    return parse(document, "rig.yaml")


def realsense(serial: object = "0123456789", **more: object) -> dict[str, object]:
    return {"kind": "realsense", "serial": serial} | more


@pytest.mark.parametrize(
    ("driver", "kind"),
    [
        (realsense(sync="master", picture={"exposure_s": 0.008, "gain": 64, "power_line_hz": 50}), RealSense),
        ({"kind": "v4l2", "device": BY_ID, "format": "yuyv"}, V4L2),
        ({"kind": "video", "path": "/tmp/table.mp4"}, Video),
        ({"kind": "external"}, External),
    ],
)
def test_a_driver_is_told_by_its_kind(driver: dict[str, object], kind: type) -> None:
    assert isinstance(table(driver).cameras["front"].driver, kind)


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        (realsense(123456789), ["cameras.front.driver.serial", "quotes", "'123456789'"]),
        (realsense("12-34"), ["cameras.front.driver.serial", "digits and letters"]),
        (realsense(exposure_s=0.008), ["cameras.front.driver.exposure_s", "unknown field", "picture", "sync"]),
        (realsense(picture={"exposure": 8}), ["driver.picture.exposure", "did you mean exposure_s?"]),
        (realsense(picture={"exposure_s": 8}), ["driver.picture.exposure_s", "0.5"]),
        (realsense(picture={"gain": 64}), ["driver.picture", "gain is fixed only together with exposure_s"]),
        (realsense(picture={"exposure_s": 0.06}), ["exposure_s 0.06 is longer than a frame at 20 Hz", "0.0500 s"]),
        ({"kind": "v4l2", "device": "/dev/video0"}, ["driver.device", "/dev/v4l/by-id", "another camera tomorrow"]),
        ({"kind": "v4l2", "device": BY_ID, "serial": "1"}, ["driver.serial", "allowed: kind, device, format"]),
        ({"kind": "webcam"}, ["cameras.front.driver", "webcam", "realsense", "v4l2", "video", "external"]),
        (None, ["cameras.front.driver: missing", "external"]),
        (realsense(sync="slave"), ["driver.sync slave", "none has master"]),
    ],
)
def test_a_driver_that_cannot_be_is_refused(driver: object, words: list[str]) -> None:
    with pytest.raises(RigError) as caught:
        table(driver)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "driver", [realsense(), {"kind": "v4l2", "device": BY_ID}], ids=["one serial number", "one device"]
)
def test_two_cameras_cannot_be_one_device(driver: dict[str, object]) -> None:
    with pytest.raises(RigError, match=r"cameras.wrist.driver is .*, as cameras.front has it; give each"):
        table(driver, driver)


def test_only_one_camera_is_the_master() -> None:
    with pytest.raises(RigError, match=r"front, wrist all have driver.sync master"):
        table(realsense(sync="master"), realsense("987", sync="master"))
    assert table(realsense(sync="master"), realsense("987", sync="slave")).cameras["wrist"].driver.sync == "slave"


def test_a_simulated_rig_has_no_drivers() -> None:
    with pytest.raises(RigError, match=r"cameras.front.driver is given, but the rig is simulated"):
        table({"kind": "external"}, simulated=True)


@pytest.mark.parametrize("driver", [{"kind": "v4l2", "device": BY_ID}, {"kind": "video", "path": "/tmp/a.mp4"}])
def test_a_camera_without_depth_cannot_be_asked_for_it(driver: dict[str, object]) -> None:
    with pytest.raises(RigError, match=r"cameras.front: depth is true, but driver .* has no depth"):
        table(driver, depth=True)


@pytest.mark.parametrize("size", [(1280, 720), (848, 480), (1920, 1080), (320, 240)])
def test_intrinsics_of_another_image_size_are_refused(size: tuple[int, int]) -> None:
    lens = {"fx_px": 600.0, "fy_px": 600.0, "cx_px": size[0] / 2, "cy_px": size[1] / 2}
    with pytest.raises(RigError, match=r"cameras.front: intrinsics.cx_px .* another image size\?"):
        table(realsense(), intrinsics=lens)
    assert table({"kind": "external"}, intrinsics=lens)
