import numpy as np
import pytest

from neuroglot import NeuroglotError
from neuroglot.base.parts import Parts

PROVENANCE = {"model": "m", "machine": {"threads": 1}}


def test_a_part_is_gone_on_with_and_gone_at_the_end(tmp_path):
    parts = Parts(tmp_path / "result", PROVENANCE)
    assert parts.kept("0") is None and not list(tmp_path.iterdir())
    parts.keep("0", {"sums": np.array([0.1, 0.2])}, rows=[{"text": "ü"}])
    arrays, said = Parts(tmp_path / "result", PROVENANCE | {"machine": {"threads": 2}}).kept("0")
    assert arrays["sums"].tolist() == [0.1, 0.2] and said["rows"] == [{"text": "ü"}]
    parts.discard("0")
    assert parts.kept("0") is None
    parts.keep("1")
    parts.remove()
    assert not list(tmp_path.iterdir())


def test_parts_of_another_result_are_none_of_these(tmp_path, capsys):
    Parts(tmp_path / "result", PROVENANCE | {"seed": 1}).keep("0", step=3)
    assert Parts(tmp_path / "result", PROVENANCE).kept("0") is None and not capsys.readouterr().err


def test_a_damaged_part_is_thrown_away_and_that_is_said(tmp_path, capsys):
    parts = Parts(tmp_path / "result", PROVENANCE)
    parts.keep("0", {"sums": np.ones(3)})
    (file,) = parts.folder.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert parts.kept("0") is None and not file.exists() and f"{file} is damaged" in capsys.readouterr().err


def test_without_a_path_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts = Parts(None, PROVENANCE)
    parts.keep("0", step=1)
    parts.discard("0")
    parts.remove()
    assert parts.kept("0") is None and not list(tmp_path.iterdir())


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "result.parts").write_text("")
    with pytest.raises(NeuroglotError, match=r"result\.parts is in the way of unfinished work"):
        Parts(tmp_path / "result", PROVENANCE)
