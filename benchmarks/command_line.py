"""How long `xdistill --help` takes, for every command: median and worst of several fresh processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from typer.main import get_command

from xdistill_ros.cli.main import app

REPEATS = 10


def seconds(arguments: list[str]) -> float:
    """Wall time of one fresh process."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "xdistill_ros.cli.main", *arguments, "--help"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print a line for each command."""
    for name in ["", *getattr(get_command(app), "commands", {})]:
        times = [seconds(name.split()) for _ in range(REPEATS)]
        print(f"xdistill {name:<8} --help   median {statistics.median(times):.2f} s   worst {max(times):.2f} s")


if __name__ == "__main__":
    main()
