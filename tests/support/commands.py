"""Whether a line is a command of ours with arguments that it takes, without running it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.main import get_command

from xdistill_ros.cli.main import app


def refusal_of(words: Sequence[str]) -> str:
    """What `xdistill` would say against a command line before it does anything; empty where it would begin."""
    program, *arguments = words
    if program != "xdistill":
        return f"{program} is not our command"
    command: Any = get_command(app)
    while hasattr(command, "commands"):  # a group; click's own classes are hidden in some versions of typer
        if not arguments or arguments == ["--help"]:
            return ""
        name, *arguments = arguments
        if name not in command.commands:
            return f"no command {name}"
        command = command.commands[name]
    return "" if "--help" in arguments else _refused(command, arguments)


def _refused(command: Any, arguments: list[str]) -> str:
    try:
        command.make_context(command.name, arguments)
    except Exception as error:
        if not hasattr(error, "format_message"):  # which what is said to a user has
            raise
        return str(error.format_message())
    return ""
