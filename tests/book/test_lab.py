"""JupyterLab on the chapters: the command that is run, and what is said where it cannot be."""

import importlib.util
import sys

import pytest

from neuroglot import NeuroglotError
from neuroglot.book import lab


@pytest.fixture
def root(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "index.ipynb").write_text("{}")
    return tmp_path


def test_on_this_machine_alone_and_asking_no_other_host(root):
    command = lab.command_of(root, port=9999, browser=False)
    assert command[:3] == [sys.executable, "-m", "jupyterlab"] and command[-1] == str(root / "notebooks/index.ipynb")
    said = dict(option[2:].split("=", 1) for option in command[3:-1])
    assert said["ServerApp.ip"] == "127.0.0.1" and said["ServerApp.port"] == "9999"
    assert said["ServerApp.open_browser"] == "False" and said["ServerApp.root_dir"] == str(root)
    assert said["LabApp.news_url"] == "" and said["LabApp.extension_manager"] == "readonly"
    plain = lab.command_of(root)
    assert not [option for option in plain if "port" in option or "open_browser" in option]


def test_it_takes_the_place_of_the_process_with_the_projects_own_kernel(root, monkeypatch):
    ran = []
    monkeypatch.setattr(lab.os, "execve", lambda *given: ran.append(given))
    lab.start(root)
    ((program, command, environment),) = ran
    assert program == command[0] == sys.executable and environment["JUPYTER_PREFER_ENV_PATH"] == "1"


def test_what_is_missing_is_said(root, tmp_path, monkeypatch):
    with pytest.raises(NeuroglotError, match="run this in a clone of neuroglot"):
        lab.command_of(tmp_path / "elsewhere")
    with pytest.raises(NeuroglotError, match="port 70000: give a number"):
        lab.command_of(root, port=70000)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NeuroglotError, match=r"JupyterLab is not installed; run: pip install .neuroglot\[lab\]."):
        lab.command_of(root)
