"""Entry points of other packages: found by name, and refused in one sentence that names the package."""

import subprocess
import sys

import pytest

from neuroglot import NeuroglotError
from neuroglot.base import plugins


def test_names_are_listed_and_nothing_is_loaded(install):
    install("stone", {"neuroglot.things": {"b": "stone_missing:b", "a": "stone_missing:a"}})
    assert plugins.names("neuroglot.things") == ("a", "b")
    assert plugins.names("neuroglot.things", own=["a"]) == ("b",)
    assert plugins.find("neuroglot.things", "c") is None
    assert plugins.find("neuroglot.things", "a").value == "stone_missing:a"


def test_what_cannot_be_loaded_is_named(install):
    install("stone", {"neuroglot.things": {"a": "stone_missing:a", "b": "stone_code:b", "c": "stone_code:missing"}})
    (install.folder / "stone_code.py").write_text("b = 7\n")
    point = plugins.find("neuroglot.things", "a")
    with pytest.raises(
        NeuroglotError, match=r"a = stone_missing:a in neuroglot\.things, of stone 1\.0, cannot be load"
    ):
        plugins.load(point)
    with pytest.raises(NeuroglotError, match=r"of stone 1\.0, is a int, not a function"):
        plugins.load_function(plugins.find("neuroglot.things", "b"))
    with pytest.raises(NeuroglotError, match=r"c = stone_code:missing .*cannot be loaded \(.*missing"):
        plugins.load(plugins.find("neuroglot.things", "c"))


def test_own_names_win_and_two_packages_are_refused(install):
    install("stone", {"neuroglot.things": {"a": "stone:a"}})
    with pytest.warns(UserWarning, match=r"stone 1\.0 gives 'a' in neuroglot\.things, .* wins"):
        assert plugins.find("neuroglot.things", "a", own=["a"]) is None
    install("brick", {"neuroglot.things": {"a": "brick:a"}})
    with pytest.raises(NeuroglotError, match=r"brick 1\.0 and stone 1\.0 both give 'a' in neuroglot\.things"):
        plugins.find("neuroglot.things", "a")


def test_importing_neuroglot_looks_for_no_package():
    code = "import sys, neuroglot; sys.exit('neuroglot.base.plugins' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
