"""`xdistill calibrate`: lens, place and lateness of cameras, lag of the arm. Owns options and what is printed.

The room `calibrate` computes, `nodes.calibration` listens to the running graph.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xdistill_ros.cli.shown import print_wide, sentences

if TYPE_CHECKING:
    from xdistill_ros.calibrate import Board
    from xdistill_ros.calibrate.guide import Guide, Moving
    from xdistill_ros.calibrate.hand_eye import HandEye
    from xdistill_ros.calibrate.latency import ArmLag, CameraLatency, Reading
    from xdistill_ros.nodes.terminal.calibration import Listener
    from xdistill_ros.rig import Camera, Measurement, Rig
    from xdistill_ros.rig.measurement import Kind

app = typer.Typer(no_args_is_help=True, help="Measure lens, place and lateness of the cameras, and the arm's lag.")

RigPath = Annotated[Path | None, typer.Option("--rig", help="Rig file; the simulated table by default.")]
Out = Annotated[
    Path | None, typer.Option(help="Folder of results. Default: the rig's `calibration`.", show_default=False)
]
Domain = Annotated[int | None, typer.Option(min=0, max=101, help="ROS domain id instead of the rig's.")]
Namespace = Annotated[str, typer.Option(help="Before every name of the graph but /clock.")]
Host = Annotated[str, typer.Option(help="This computer among the rig's network.hosts; none: everything runs here.")]
CameraName = Annotated[str, typer.Argument(help="The camera's name in the rig.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before the arm moves.")]

_HAND_EYE_VIEWS = 20
_LATENCY_S = 10.0
_PATIENCE_S = 10.0


@dataclass(frozen=True)
class _Set:
    """What a command works with: the rig as its file says, plus what was measured that it builds on."""

    path: Path
    rig: Rig
    folder: Path
    domain: int | None
    namespace: str
    host: str

    def camera(self, name: str) -> Camera:
        from xdistill_ros.calibrate import CalibrateError

        if name not in self.rig.cameras:
            raise CalibrateError(f"no camera {name}; the rig has {', '.join(self.rig.cameras)}")
        return self.rig.cameras[name]

    def save(self, measurement: Measurement) -> None:
        from xdistill_ros.rig import calibration

        typer.echo(str(calibration.write(self.folder, measurement)))
        named = self.rig.calibration and (self.path.parent / self.rig.calibration).resolve()
        if named != self.folder.resolve():
            typer.echo(f"The rig uses it with this line in {self.path}:  calibration: {self.folder.resolve()}")


@contextmanager
def _worded() -> Iterator[None]:
    from xdistill_ros.calibrate import CalibrateError
    from xdistill_ros.hosts import HostError
    from xdistill_ros.rig.calibration import CalibrationError

    with sentences("ros", CalibrateError, CalibrationError, HostError):
        yield


@contextmanager
def _graph(made: _Set, cameras: Sequence[str] = ()) -> Iterator[Listener]:
    from xdistill_ros.graph import environment

    os.environ.update(environment(made.rig, made.domain, made.host))  # before rclpy reads it
    from xdistill_ros.nodes.terminal.calibration import GraphError, listening

    with sentences("ros", GraphError), listening(made.rig, cameras, made.namespace) as listener:
        yield listener


def _set(rig: Path | None, out: Path | None, domain: int | None, namespace: str, host: str, *builds_on: Kind) -> _Set:
    """Raises RigError, HostError, CalibrationError, CalibrateError."""
    from xdistill_ros import resources
    from xdistill_ros.calibrate import CalibrateError
    from xdistill_ros.hosts import network_of
    from xdistill_ros.rig import calibration, load

    path = rig or resources.config("rigs/sim_table.yaml")
    loaded = load(path, calibrated=False)
    if out is None and loaded.calibration is None:
        raise CalibrateError(
            f"{path} names no folder for results; add a line such as `calibration: ../calibration`, or give --out"
        )
    if host:
        network_of(loaded, host)
    folder = out or path.parent / (loaded.calibration or "")
    measured = [one for one in calibration.read(folder) if one.kind in builds_on]
    return _Set(path, calibration.apply(loaded, measured), folder, domain, namespace, host)


@app.command()
def board(
    out: Annotated[Path, typer.Option(help="Folder for board.pdf and board.yaml: that of the results.")],
    paper: Annotated[Literal["a4", "a3", "letter"], typer.Option(help="Laid sideways.")] = "a4",
    columns: Annotated[int, typer.Option(min=3, max=14, help="Squares from left to right.")] = 9,
    rows: Annotated[int, typer.Option(min=3, max=14, help="Squares from top to bottom.")] = 6,
    square_mm: Annotated[float, typer.Option(min=5.0, max=200.0, help="Side of a square.")] = 28.0,
) -> None:
    """Write the board to print, and the file that describes it."""
    with _worded():
        from xdistill_ros.calibrate import Board
        from xdistill_ros.calibrate.board import save
        from xdistill_ros.calibrate.paper import pdf

        made = Board(squares_x=columns, squares_y=rows, square_m=1e-3 * square_mm)
        page = pdf(made, paper)
        described = save(made, out)
        (out / "board.pdf").write_bytes(page)
    typer.echo(f"{out / 'board.pdf'}: print it at 100 %, glue it onto something flat and stiff, measure the ruler")
    typer.echo(f"{described}: squares not {square_mm:g} mm on the print? Correct square_m there")


@app.command()
def intrinsics(
    camera: CameraName, rig: RigPath = None, out: Out = None, domain: Domain = None, namespace: Namespace = "",
    host: Host = "",
) -> None:  # fmt: skip
    """Measure a camera's lens: show it the board, everywhere in its picture and tilted. The camera must be running."""
    with _worded():
        from xdistill_ros.calibrate import results
        from xdistill_ros.calibrate.intrinsics import solve

        made = _set(rig, out, domain, namespace, host)
        lens = made.camera(camera)
        size = lens.width_px, lens.height_px
        guide = _views(made, camera, None)
        found = solve(guide.views, size)
        one = found.intrinsics
        typer.echo(
            f"{len(guide.views)} views, {len(found.rejected)} left out: {found.error_px:.3f} px; "
            f"fx {one.fx_px:.2f} +- {found.focal_std_px:.2f}, fy {one.fy_px:.2f}, cx {one.cx_px:.2f}, "
            f"cy {one.cy_px:.2f}, distortion {', '.join(f'{k:.4f}' for k in one.distortion[:4])}"
        )
        made.save(results.of_lens(camera, lens, found))


@app.command("hand-eye")
def hand_eye(
    camera: CameraName, rig: RigPath = None, out: Out = None, domain: Domain = None, namespace: Namespace = "",
    host: Host = "",
) -> None:  # fmt: skip
    """Measure where a camera stands: move the arm by hand or teleoperation; views are taken where it rests.

    A camera on the arm: the board lies still on the table. A fixed camera: the gripper holds the board.
    """
    with _worded():
        from xdistill_ros.calibrate import results

        made = _set(rig, out, domain, namespace, host, "intrinsics")
        guide, found, late = _place(made, camera, _HAND_EYE_VIEWS)
        _print_methods(found)
        typer.echo(
            f"{len(guide.samples)} views, {len(found.rejected)} left out; by method {found.method}, "
            f"+- {found.uncertainty_mm:.2f} mm, +- {found.uncertainty_deg:.3f} degrees; "
            f"the board measures {100 * found.board_scale:.2f} % of what board.yaml says"
        )
        typer.echo(_lateness(camera, late))
        made.save(results.of_hand_eye(camera, made.camera(camera), found, len(guide.samples)))


@app.command()
def latency(
    subject: Annotated[str, typer.Argument(help="A camera's name, or arm.", show_default=False)],
    rig: RigPath = None, out: Out = None, yes: Yes = False, domain: Domain = None, namespace: Namespace = "",
    host: Host = "",
) -> None:  # fmt: skip
    """Measure how late a camera's pictures are, by a code on this screen; or the arm's lag, by a sine."""
    with _worded():
        from xdistill_ros.calibrate import results
        from xdistill_ros.rig.measurement import ARM

        made = _set(rig, out, domain, namespace, host)
        if subject == ARM:
            lag = _swing(made, yes)
            made.save(results.of_arm("latency", made.rig, lag))
            return
        from xdistill_ros.calibrate.latency import camera_latency
        from xdistill_ros.cli.live import REDRAW_S

        camera = made.camera(subject)
        found = camera_latency(list(_readings(made, subject)), REDRAW_S)
        typer.echo(
            f"{subject}: {1e3 * found.latency_s:.0f} ms from exposure to arrival, nine in ten within "
            f"{1e3 * found.spread_s:.0f} ms; stamps are {1e3 * found.stamp_late_s:.0f} ms late. "
            "The screen's own 5-20 ms are in both"
        )
        made.save(results.of_camera_latency(subject, camera, found))


@app.command()
def check(
    subjects: Annotated[list[str] | None, typer.Argument(help="Cameras, or arm. Default: all cameras.")] = None,
    rig: RigPath = None, out: Out = None, yes: Yes = False, domain: Domain = None, namespace: Namespace = "",
    host: Host = "",
) -> None:  # fmt: skip
    """Look whether cameras still stand where they were measured, and the arm lags as it did. Ends 1 where not."""
    with _worded():
        from xdistill_ros.rig.measurement import ARM

        made = _set(rig, out, domain, namespace, host, "intrinsics", "hand_eye", "latency")
        good = [
            _check_arm(made, yes) if one == ARM else _check_camera(made, one)
            for one in subjects or list(made.rig.cameras)
        ]
    raise typer.Exit(0 if all(good) else 1)


def _check_camera(made: _Set, name: str) -> bool:
    from xdistill_ros.calibrate import check as checking
    from xdistill_ros.calibrate import results
    from xdistill_ros.rig.compare import LATENCY_S
    from xdistill_ros.rig.poses import pose_from_quaternion

    camera = made.camera(name)
    _, found, late = _place(made, name, checking.VIEWS)
    stored = camera.optical_pose
    verdict = checking.judge(pose_from_quaternion(stored.position_m, stored.quaternion_wxyz), found)
    typer.echo(
        f"{name}: {'MOVED, ' if verdict.moved else 'as it was, '}{verdict.moved_mm:.1f} mm and "
        f"{verdict.turned_deg:.2f} degrees from where it was measured (+- {found.uncertainty_mm:.1f} mm, "
        f"{found.uncertainty_deg:.2f} degrees)"
    )
    if verdict.moved:
        typer.echo(f"  move it back, or measure it anew: xdistill calibrate hand-eye {name}")
    same = late is None or abs(late.latency_s - camera.latency_s) <= LATENCY_S
    typer.echo(f"{_lateness(name, late)}{'' if same else f'; CHANGED, the rig has {1e3 * camera.latency_s:.0f} ms'}")
    made.save(results.of_check(name, camera, found, verdict, late))
    return same and not verdict.moved


def _check_arm(made: _Set, yes: bool) -> bool:
    from xdistill_ros.calibrate import results
    from xdistill_ros.rig.compare import LATENCY_S

    found, was_s = _swing(made, yes), made.rig.arm.lag_s
    same = abs(found.lag_s - was_s) <= LATENCY_S
    typer.echo(f"arm: {'as it was' if same else 'CHANGED'}, the rig has {1e3 * was_s:.0f} ms")
    made.save(results.of_arm("check", made.rig, found))
    return same


def _lateness(name: str, late: CameraLatency | None) -> str:
    if late is None:
        return f"{name}: too few pictures in motion to tell how late they are"
    return (
        f"{name}: by {late.pictures} pictures in motion, {1e3 * late.latency_s:.0f} ms from exposure to arrival; "
        f"stamps are {1e3 * late.stamp_late_s:.0f} ms later than the joint states'"
    )


def _place(made: _Set, name: str, views: int) -> tuple[Guide, HandEye, CameraLatency | None]:
    """A guided hand-eye measurement, and how late the pictures of it were."""
    from xdistill_ros.arm.kinematics import Kinematics
    from xdistill_ros.calibrate import hand_eye as solving
    from xdistill_ros.calibrate import track
    from xdistill_ros.calibrate.guide import Moving

    camera, arm = made.camera(name), made.rig.arm
    wrist = _on_arm(made, name)
    frame, kinematics = camera.parent_frame if wrist else arm.tcp_frame, Kinematics(made.rig)
    typer.echo("the board lies still on the table" if wrist else "the gripper holds the board, which must not slip")
    moving = Moving(lambda joints: kinematics.frame_pose(frame, joints), wrist)
    guide = _views(made, name, moving, views)
    lens, board = camera.intrinsics, _board(made)
    found = solving.solve(guide.samples, lens, board)
    return guide, found, track.camera_latency(guide.seen, guide.states, moving.chain, found, lens, board)


def _on_arm(made: _Set, name: str) -> bool:
    return made.camera(name).parent_frame != made.rig.arm.base_frame


def _views(made: _Set, name: str, moving: Moving | None, views: int = 0) -> Guide:
    """Views until they suffice, or until Ctrl-C: then with what there is."""
    from xdistill_ros.calibrate import CalibrateError, Detector
    from xdistill_ros.calibrate.guide import Guide
    from xdistill_ros.cli.live import shown
    from xdistill_ros.rig import Refusal

    camera = made.camera(name)
    guide = Guide(Detector(_board(made)), (camera.width_px, camera.height_px), moving, views)
    with _graph(made, [name]) as listener, shown(f"{name}: what the views must show") as display:
        if made.rig.simulation is not None:
            listener.put_board("table" if _on_arm(made, name) else "hand")
        try:
            needs = guide.needs()
            while not all(need.met for need in needs):
                picture = listener.picture(_PATIENCE_S)
                if picture is None:
                    why = listener.refusal or f"nothing comes on /{name}/color/image_raw; is the camera's node up?"
                    raise CalibrateError(f"no picture for {_PATIENCE_S:.0f} s: {why}")
                for state in listener.states():
                    guide.push_state(state)
                said = guide.look(picture.stamp_ns, picture.arrived_ns, picture.pixels)
                if not isinstance(said, Refusal):
                    needs = guide.needs()
                word = said.sentence if isinstance(said, Refusal) else f"view {len(guide.views)} taken"
                display.update(needs, len(guide.views), word)
        except KeyboardInterrupt:
            typer.echo("stopped; what was taken so far counts")
        if made.rig.simulation is not None:
            listener.put_board("")
    return guide


def _board(made: _Set) -> Board:
    from xdistill_ros.calibrate.board import load

    return load(made.folder)


def _print_methods(found: HandEye) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("method", "board scatters, mm", "degrees", "reprojection, px"):
        table.add_column(title, justify="left" if title == "method" else "right")
    for name, one in sorted(found.methods.items(), key=lambda item: item[1].px):
        table.add_row(name, f"{one.mm:.2f}", f"{one.deg:.3f}", f"{one.px:.2f}")
    print_wide(table)


def _swing(made: _Set, yes: bool) -> ArmLag:
    """The arm follows a sine; what it was commanded and what it did."""
    from xdistill_ros.calibrate.latency import arm_lag
    from xdistill_ros.calibrate.swing import LASTS_S, plan

    with _graph(made) as listener:
        swing = plan(listener.tcp()[:3, 3], made.rig)
        axis = "xyz"[int(swing.axis.argmax())]
        typer.echo(f"the TCP will swing {1e3 * swing.amplitude_m:.0f} mm to each side along {axis} for {LASTS_S:.0f} s")
        if not yes:
            typer.confirm("Is the way free, and a hand at the emergency stop?", abort=True)
        listener.follow(swing.offset, LASTS_S)
        commanded, measured = listener.commands(), listener.states()
    found = arm_lag(commanded, measured)
    typer.echo(
        f"arm: {1e3 * found.lag_s:.0f} ms from command to motion, {found.joints} joints within "
        f"{1e3 * found.spread_s:.0f} ms, alike to {found.likeness:.4f}"
    )
    return found


def _readings(made: _Set, camera: str) -> Iterator[Reading]:
    """What the pictures of this screen show, for ten seconds."""
    import time

    from xdistill_ros.calibrate.code import ShownTime
    from xdistill_ros.calibrate.latency import Reading
    from xdistill_ros.cli.live import time_on_screen

    code = ShownTime()
    with _graph(made, [camera]) as listener, time_on_screen(listener.now_ns):
        until_s = time.monotonic() + _LATENCY_S
        while time.monotonic() < until_s:
            picture = listener.picture(0.2)
            shown_ns = None if picture is None else code.read(picture.pixels)
            if picture is not None and shown_ns is not None:
                yield Reading(shown_ns, picture.stamp_ns, picture.arrived_ns)
