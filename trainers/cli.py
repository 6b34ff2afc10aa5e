"""What `python -m trainers` can do. Bad input ends in one line on standard error and exit status 2; a training that was asked to stop in 75; one that failed in 1."""

import contextlib
import errno
import io
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import tyro

from lab.checks import unknown
from lab.command_line import FINISHED, INTERRUPTED, STOPPED, fail, one_line, say
from trainers.stopping import Terminated, stoppable

FAILED = 1
# trainers/commands/NAME.py, class Name
COMMANDS = (
    "data",
    "cache",
    "prior",
    "train",
    "sample",
    "pairs",
    "evaluate",
    "checkup",
    "export",
    "ship",
    "table",
    "recipes",
    "plan",
    "jobs",
)


def main(arguments: Sequence[str]) -> int:
    """Runs the command line; returns the exit status."""
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        return fail(unknown("command", arguments[0], COMMANDS, "; --help says what each does"))
    classes: list[Any] = [getattr(import_module(f"trainers.commands.{name}"), name.capitalize()) for name in COMMANDS]
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            command = tyro.extras.subcommand_cli_from_dict(
                dict(zip(COMMANDS, classes, strict=True)),
                args=list(arguments),
                prog="python -m trainers",
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as ended:
        if ended.code in (0, None):
            return FINISHED
        return fail(one_line(complaint.getvalue()))
    try:
        with stoppable():
            return command.go() or FINISHED
    except Terminated:
        say("stopped; nothing half-written is left, and the same command goes on from what is made")
        return STOPPED
    except ValueError as error:
        return fail(str(error))
    except (RuntimeError, OSError) as error:
        return _failed(error)
    except KeyboardInterrupt:
        say("stopped; nothing half-written is left")
        return INTERRUPTED


def _failed(error: RuntimeError | OSError) -> int:
    """One line and status 1 for what no other input would mend: a training that diverged, a full disk; anything unforeseen goes on as it is."""
    from trainers.loop import Diverged

    if isinstance(error, Diverged):
        if str(error):  # else another process has said it
            say(f"error: {error}")
        return FAILED
    if isinstance(error, BrokenPipeError):  # `| head` has seen enough
        sys.stderr.close()
        return FINISHED
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        say(
            f"error: the disk is full{f' ({error.filename})' if error.filename else ''}: make room and run the same command again; what was whole before is still there"
        )
        return FAILED
    if isinstance(error, OSError) and error.filename:
        return fail(f"{error.filename}: {error.strerror}")
    if "No space left" in str(error):  # safetensors' own error carries no number
        say("error: the disk is full: make room and run the same command again; what was whole before is still there")
        return FAILED
    raise error
