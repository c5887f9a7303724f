"""Cameras: what is connected, by which name; whether those of a rig are among them, on ports that are fast enough."""

from __future__ import annotations

import ctypes.util
import importlib.util
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xdistill_ros.rig import Camera, Rig
from xdistill_ros.rig.drivers import V4L2, RealSense, Video

from .finding import Finding, State, ask

ASK_REALSENSE = """
import json
import pyrealsense2 as rs
def told(device, name):
    info = getattr(rs.camera_info, name)
    return device.get_info(info) if device.supports(info) else ""
names = ("name", "serial_number", "usb_type_descriptor")
print(json.dumps([[told(device, name) for name in names] for device in rs.context().query_devices()]))
"""
ASK_FRAME = """
from xdistill_ros.camera import look
from xdistill_ros.rig import load
print(look({name!r}, load({path!r}).cameras))
"""
SDK_REMEDY = "pip install 'xdistill_ros[realsense]'"
SLOW_USB = ("1", "2")
WEBCAMS = Path("/dev/v4l/by-id")
UDEV = (Path("/etc/udev/rules.d"), Path("/usr/lib/udev/rules.d"))
UDEV_REMEDY = (
    "sudo cp docker/host/99-realsense.rules /etc/udev/rules.d/ && sudo udevadm control --reload-rules "
    "&& sudo udevadm trigger, then plug it in again"
)


@dataclass(frozen=True)
class Connected:
    """A RealSense camera on a USB port of this computer."""

    model: str
    serial: str
    usb: str
    """The port's USB version as the SDK tells it, such as 3.2 or 2.1; empty where it does not."""

    def __str__(self) -> str:
        return f"{self.model} {self.serial} (USB {self.usb or 'unknown'})"


def examine() -> Iterator[Finding]:
    """Which cameras are connected, for whoever writes a rig file."""
    found = realsense()
    if isinstance(found, Finding):
        yield found
    else:
        listed = "; ".join(map(str, found)) or "none connected"
        yield Finding("RealSense", State.PRESENT, f"SDK is there; cameras: {listed}")
    webcams = sorted(map(str, WEBCAMS.glob("*index0")))  # a camera's other indices deliver no pictures
    yield Finding("webcams", State.PRESENT if webcams else State.OPTIONAL, "; ".join(webcams) or "none connected")


def realsense() -> list[Connected] | Finding:
    """The RealSense cameras that are connected, or why nobody can tell."""
    if not importlib.util.find_spec("pyrealsense2"):
        return Finding("RealSense", State.OPTIONAL, "its SDK is not there", SDK_REMEDY)
    if not ctypes.util.find_library("usb-1.0"):
        return Finding("RealSense", State.MISSING, "the SDK needs libusb", "apt-get install -y libusb-1.0-0")
    said, failed = ask(ASK_REALSENSE)
    if failed:
        return Finding("RealSense", State.MISSING, failed, "pip install --force-reinstall pyrealsense2")
    return [Connected(*told) for told in json.loads(said)]


def examine_rig(rig: Rig, path: Path) -> Iterator[Finding]:
    """Each camera of the rig in `path` that this package drives itself: is it there, and does it give a frame?"""
    connected: list[Connected] = []
    if any(isinstance(camera.driver, RealSense) for camera in rig.cameras.values()):
        found = realsense()
        if isinstance(found, Finding):
            yield Finding("RealSense SDK", State.MISSING, f"{found.words}, and the rig needs it", found.remedy)
        else:
            connected = found
    for name, camera in rig.cameras.items():
        there = _camera(f"camera {name}", camera, connected)
        if there is not None:
            yield _frame(name, path) if there.state is State.PRESENT else there


def _camera(name: str, camera: Camera, connected: list[Connected]) -> Finding | None:
    """Whether it is there; None for a camera that another driver publishes."""
    match camera.driver:
        case RealSense(serial=serial):
            return _realsense(name, serial, connected)
        case V4L2(device=device):
            return _webcam(name, Path(device))
        case Video(path=path):
            state = State.PRESENT if path.exists() else State.MISSING
            return Finding(name, state, f"film {path}" + ("" if path.exists() else ": no such file"))
    return None


def _realsense(name: str, serial: str, connected: list[Connected]) -> Finding:
    this = next((camera for camera in connected if camera.serial == serial), None)
    if this is None:
        others = "; connected: " + "; ".join(map(str, connected)) if connected else ""
        remedy = "plug it into a USB 3 port, or correct its serial number in the rig file"
        if not any(path.is_file() for folder in UDEV for path in folder.glob("*realsense*.rules")):
            remedy += f". No udev rule lets users open a RealSense: {UDEV_REMEDY}"
        return Finding(name, State.MISSING, f"no RealSense {serial} on this computer{others}", remedy)
    if this.usb.startswith(SLOW_USB):
        remedy = "use a USB 3 port and the cable that came with the camera; turn the plug over"
        return Finding(name, State.MISSING, f"{this}: too slow for its pictures", remedy)
    return Finding(name, State.PRESENT, str(this))


def _frame(name: str, path: Path) -> Finding:
    said, failed = ask(ASK_FRAME.format(name=name, path=str(path)))
    if said.startswith(f"camera {name} gives"):
        return Finding(f"camera {name}", State.PRESENT, said)
    return Finding(f"camera {name}", State.MISSING, failed or said, "docs/how-to/cameras.md tells what each means")


def _webcam(name: str, device: Path) -> Finding:
    if not device.exists():
        there = sorted(path.name for path in device.parent.glob("*")) or ["nothing"]
        remedy = "plug it in, or correct the path in the rig file"
        return Finding(name, State.MISSING, f"no {device}; {device.parent} has: {', '.join(there)}", remedy)
    if not os.access(device, os.R_OK | os.W_OK):
        remedy = "sudo usermod -aG video $USER, then log in again"
        return Finding(name, State.MISSING, f"{device} may not be opened by you", remedy)
    return Finding(name, State.PRESENT, str(device.resolve()))
