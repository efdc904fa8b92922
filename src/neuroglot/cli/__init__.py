"""The command line: every stage of the library as a command, each a few lines around its function.

``arguments`` is the parser, ``given`` what several commands make of a command's words; the other modules hold the
commands. A setting that is not given has the default of the function it goes to, which stands in its signature alone.
"""

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Sequence

from ..base.errors import NeuroglotError, in_a_line
from .arguments import parser

#: Where each command is; its function is called as the command is.
COMMANDS = {
    "sample": "counting",
    "collect": "counting",
    "classify": "counting",
    "attribute": "counting",
    "detect": "counting",
    "neurons": "counting",
    "contexts": "counting",
    "losses": "effects",
    "steer": "effects",
    "align": "aligning",
    "compare": "aligning",
    "check": "books",
    "book": "books",
    "verify": "books",
    "archive": "books",
    "unpack": "books",
    "lab": "books",
    "serve": "books",
}

#: Those whose work is dealt out among the processes of ``torchrun`` or ``accelerate launch``.
SHARED = ("sample", "collect", "attribute", "losses", "steer")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 1 is the exit code of a check that failed, 2 of an error that is explained.

    130 is that of Ctrl-C, and 143 of SIGTERM, as schedulers send it: both keep what can be gone on with.
    """
    arguments = parser().parse_args(argv)
    ended: list[int] = []

    def end(number: int, _: object) -> None:
        ended.append(number)
        raise KeyboardInterrupt

    alone, usual = os.environ.get("WORLD_SIZE", "1") == "1", None
    if alone:  # several end at once, also those that wait for another
        with contextlib.suppress(ValueError):  # not in the main thread
            usual = signal.signal(signal.SIGTERM, end)
    try:
        if arguments.command not in SHARED and not alone:
            raise NeuroglotError(
                f"{arguments.command} runs in one process; start it without torchrun or accelerate launch."
            )
        # What a command needs is imported only for it, so that --help is instant
        module = importlib.import_module(f"{__name__}.{COMMANDS[arguments.command]}")
        return getattr(module, arguments.command)(arguments) or 0
    except NeuroglotError as error:
        which = f" (process {rank})" if (rank := os.environ.get("RANK", "0")) != "0" else ""
        print(f"neuroglot{which}: {error}", file=sys.stderr, flush=True)
        return 2
    except OSError as error:  # of a file or folder: a full disk, one that is read-only, a name too long
        print(f"neuroglot: {_of_files(error)}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        print("neuroglot: interrupted; run the same command again to go on.", file=sys.stderr)
        return 128 + (ended[0] if ended else signal.SIGINT)
    finally:
        if usual is not None:
            signal.signal(signal.SIGTERM, usual)


def _of_files(error: OSError) -> str:
    name = f"{str(error.filename)[:200]} cannot be read or written: " if error.filename is not None else ""
    return f"{name}{error.strerror or in_a_line(error)}; check that the place is there, has space and may be written."
