"""Only what ament needs beyond `pyproject.toml`: the packages by name and the files under share/."""

import sys
from pathlib import Path

from setuptools import find_packages, setup

NAME = "xdistill_ros"
SHARED = ["config", "launch"]
# Weights go where `ros2 launch` looks for them, but not into wheels: those are for code.
if not {"bdist_wheel", "editable_wheel"}.intersection(sys.argv):
    SHARED.append("models")


def shared_files() -> list[tuple[str, list[str]]]:
    """(directory under the prefix, files) for every directory in SHARED, as `data_files` wants them."""
    files: dict[str, list[str]] = {}
    for top in SHARED:
        for path in sorted(Path(top).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                files.setdefault(f"share/{NAME}/{path.parent.as_posix()}", []).append(path.as_posix())
    return list(files.items())


distribution = setup(
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *shared_files(),
    ],
)
# colcon reads the distribution's fields back as literals, and setuptools' SpecifierSet is not one.
distribution.python_requires = distribution.metadata.python_requires = str(distribution.python_requires)
