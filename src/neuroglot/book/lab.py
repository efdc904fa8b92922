"""JupyterLab on the chapters: on this machine alone, with this interpreter, asking no other host."""

import importlib.util
import os
import sys
from pathlib import Path

from ..base.errors import NeuroglotError


def start(root: Path, *, port: int | None = None, browser: bool = True) -> None:
    """Open ``notebooks/index.ipynb`` in JupyterLab, in place of this process.

    Args:
        root: the project.
        port: on the loopback address; default: the first free one from 8888 on.
        browser: whether to open one.

    Raises:
        NeuroglotError: no JupyterLab is installed, or there are no notebooks.
    """
    command = command_of(root, port=port, browser=browser)
    # The kernel is this environment's, also where another one of its name is installed for the user.
    os.execve(command[0], command, {**os.environ, "JUPYTER_PREFER_ENV_PATH": "1"})


def command_of(root: Path, *, port: int | None = None, browser: bool = True) -> list[str]:
    """The command that :func:`start` becomes; it raises the same."""
    first = root / "notebooks" / "index.ipynb"
    if not first.is_file():
        raise NeuroglotError(f"there is no notebook {first}; run this in a clone of neuroglot.")
    if port is not None and not 0 <= port < 65536:
        raise NeuroglotError(f"port {port}: give a number from 0 to 65535.")
    if importlib.util.find_spec("jupyterlab") is None:
        raise NeuroglotError('JupyterLab is not installed; run: pip install "neuroglot[lab]" (in a clone: make lab)')
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.root_dir": str(root),
        # News, newer versions and extensions would be asked for elsewhere.
        "LabApp.news_url": "",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly",
    }
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # as in containers; Jupyter asks that it be said
        options["ServerApp.allow_root"] = "True"
    options |= {} if port is None else {"ServerApp.port": str(port)}
    options |= {} if browser else {"ServerApp.open_browser": "False"}
    return [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items()), str(first)]
