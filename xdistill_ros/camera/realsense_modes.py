"""What a RealSense offers and takes: its streams, its lens, its settings, each checked against the rig.

Raises RefusedError with the Refusal, so that opening a device reads as one sequence; it ends in `realsense`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from xdistill_ros.rig import Camera, Reason, Refusal
from xdistill_ros.rig.drivers import Picture, RealSense

Stream = tuple[Any, Any]
"""(pyrealsense2.sensor, pyrealsense2.stream_profile)"""

_LENS_TOLERANCE = 0.1
"""Of the focal length, and of the image size: calibrations of one lens differ by 0.02."""
_EXPOSURE_UNIT_S = {"color": 1e-4, "stereo": 1e-6}
"""A colour sensor of its own counts in UVC's units of 100 us, a stereo module (a D405's colour too) in 1 us."""
_SYNC = {"none": 0.0, "master": 1.0, "slave": 2.0}
_POWER_LINE = {0: 0.0, 50: 1.0, 60: 2.0}


class RefusedError(Exception):
    """Carries a refusal to where the driver answers with it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def link_notes(name: str, usb: str) -> list[Refusal]:
    """What to say of a link of this USB version, such as `3.2` or `2.1`; empty: not told."""
    if not usb.startswith("2"):
        return []
    words = (
        f"camera {name}: it hangs on USB {usb}: a USB 2 port, hub or cable, or a USB 3 plug that is not pushed home. "
        "Colour may still come at 640x480, 30 Hz; depth beside it, or more cameras, will not"
    )
    return [Refusal(Reason.CAMERA_LINK, words)]


def profiles(name: str, camera: Camera, device: Any) -> tuple[Stream, Stream | None]:
    """The device's colour stream, and its depth stream where the rig wants it, as the rig has them."""
    import pyrealsense2 as rs

    streams = [(sensor, profile) for sensor in device.query_sensors() for profile in sensor.get_stream_profiles()]
    color = [one for one in streams if _is(one, rs.stream.color, rs.format.rgb8)]
    depth = [one for one in streams if _is(one, rs.stream.depth, rs.format.z16)]
    if not color:
        words = "it has depth but no colour sensor" if depth else "it has no colour sensor"
        raise RefusedError(Refusal(Reason.CAMERA_MODE, f"camera {name}: {words}; a camera of the rig gives colour"))
    found = _of_size(color, camera)
    if found is None:
        raise RefusedError(_no_mode(name, "colour", camera, color))
    if not camera.depth:
        return found, None
    if not depth:
        words = f"camera {name}: depth is true, but it has no depth sensor; set depth to false"
        raise RefusedError(Refusal(Reason.CAMERA_MODE, words))
    beside = _of_size(depth, camera) or _of_rate(depth, camera)
    if beside is None:
        raise RefusedError(_no_mode(name, "depth", camera, depth))
    return found, beside


def check_intrinsics(name: str, camera: Camera, color: Stream) -> None:
    """Refuses the rig's intrinsics where they are far from the device's own for this image size."""
    own, ours = color[1].as_video_stream_profile().get_intrinsics(), camera.intrinsics
    if own.fx <= 0.0:
        return  # the device knows none
    pairs = (
        ("fx_px", own.fx, ours.fx_px, own.fx), ("fy_px", own.fy, ours.fy_px, own.fy),
        ("cx_px", own.ppx, ours.cx_px, camera.width_px), ("cy_px", own.ppy, ours.cy_px, camera.height_px),
    )  # fmt: skip
    for field, device, rig, scale in pairs:
        if abs(device - rig) > _LENS_TOLERANCE * scale:
            words = (
                f"camera {name}: intrinsics.{field} is {rig:g}, the device itself says {device:.1f} at "
                f"{camera.width_px}x{camera.height_px}: intrinsics of another image size, or of another camera? "
                "Calibrate this one (xdistill calibrate intrinsics)"
            )
            raise RefusedError(Refusal(Reason.CAMERA_INTRINSICS, words))


def set_up(name: str, source: RealSense, device: Any, color: Stream) -> None:
    """Sets exposure, gain, white balance, power line, hardware sync, and stamps on the host's clock."""
    for option, value in _automatic(source.picture):
        _set_where_there_is(option, [color[0]], value)
    for field, option, value in _fixed(source.picture, color):
        _set(name, f"picture.{field}", color[0], option, value)
    sensors = list(device.query_sensors())
    if not _set_where_there_is("inter_cam_sync_mode", sensors, _SYNC[source.sync]) and source.sync != "none":
        words = f"camera {name}: it has no hardware sync (driver.sync {source.sync}); set it to none"
        raise RefusedError(Refusal(Reason.CAMERA_SETTING, words))
    _set_where_there_is("global_time_enabled", sensors, 1.0)


def name_of(sensor: Any) -> str:
    """Such as `RGB Camera`; one a device."""
    import pyrealsense2 as rs

    return str(sensor.get_info(rs.camera_info.name))


def _automatic(picture: Picture) -> Iterable[tuple[str, float]]:
    """What a camera may lack: it then has no such automatism."""
    yield "enable_auto_exposure", float(picture.exposure_s is None)
    yield "auto_exposure_priority", 0.0  # in the dark, rather a dark picture than fewer frames
    yield "enable_auto_white_balance", float(picture.white_balance_k is None)


def _fixed(picture: Picture, color: Stream) -> Iterable[tuple[str, str, float]]:
    """(field of the rig, option of the SDK, value)."""
    if picture.exposure_s is not None:
        unit_s = _EXPOSURE_UNIT_S["stereo" if color[0].is_depth_sensor() else "color"]
        yield "exposure_s", "exposure", max(round(picture.exposure_s / unit_s), 1)
    if picture.gain is not None:
        yield "gain", "gain", picture.gain
    if picture.white_balance_k is not None:
        yield "white_balance_k", "white_balance", picture.white_balance_k
    if picture.power_line_hz is not None:
        yield "power_line_hz", "power_line_frequency", _POWER_LINE[picture.power_line_hz]


def _set(name: str, field: str, sensor: Any, option: str, value: float) -> None:
    import pyrealsense2 as rs

    kind = getattr(rs.option, option)
    if not sensor.supports(kind):
        words = f"camera {name}: it has no setting {option}; remove driver.{field}"
        raise RefusedError(Refusal(Reason.CAMERA_SETTING, words))
    allowed = sensor.get_option_range(kind)
    if not allowed.min <= value <= allowed.max:
        words = f"driver.{field} is {value:g} in the camera's unit, it takes {allowed.min:g} to {allowed.max:g}"
        raise RefusedError(Refusal(Reason.CAMERA_SETTING, f"camera {name}: {words}"))
    sensor.set_option(kind, value)


def _set_where_there_is(option: str, sensors: list[Any], value: float) -> bool:
    """Whether any of the sensors has the option; one that has the value already is left alone."""
    import pyrealsense2 as rs

    kind = getattr(rs.option, option)
    having = [sensor for sensor in sensors if sensor.supports(kind)]
    for sensor in having:
        if sensor.get_option(kind) != value:
            sensor.set_option(kind, value)
    return bool(having)


def _is(stream: Stream, kind: Any, pixels: Any) -> bool:
    return bool(stream[1].stream_type() == kind and stream[1].format() == pixels)


def _size(stream: Stream) -> tuple[int, int]:
    video = stream[1].as_video_stream_profile()
    return video.width(), video.height()


def _of_size(streams: list[Stream], camera: Camera) -> Stream | None:
    wanted = (camera.width_px, camera.height_px)
    return next((one for one in streams if _size(one) == wanted and one[1].fps() == camera.rate_hz), None)


def _of_rate(streams: list[Stream], camera: Camera) -> Stream | None:
    """The largest at the camera's rate: aligning takes it to the colour's size."""
    fitting = [one for one in streams if one[1].fps() == camera.rate_hz]
    return max(fitting, key=_size, default=None)


def _no_mode(name: str, what: str, camera: Camera, streams: list[Stream]) -> Refusal:
    wanted = (camera.width_px, camera.height_px)
    rates = sorted({one[1].fps() for one in streams if _size(one) == wanted})
    sizes = sorted({_size(one) for one in streams if one[1].fps() == camera.rate_hz})
    there = f"at this size it does {', '.join(map(str, rates))} Hz" if rates else "it has no such size"
    others = ", ".join(f"{width}x{height}" for width, height in sizes) or "none"
    return Refusal(
        Reason.CAMERA_MODE,
        f"camera {name}: no {what} at {wanted[0]}x{wanted[1]}, {camera.rate_hz:g} Hz: {there}; sizes at this rate: "
        f"{others}. Over USB 2 it offers less. Correct width_px, height_px or rate_hz",
    )
