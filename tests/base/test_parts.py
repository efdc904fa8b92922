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


@pytest.mark.parametrize(
    ("spills", "path", "on_disk"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_zeros_are_where_they_should_be_and_leave_nothing(tmp_path, spills, path, on_disk):
    parts = Parts(tmp_path / "result" if path else None, PROVENANCE, spills)
    array = parts.zeros((2, 3), np.uint16)
    assert array.dtype == np.uint16 and array.tolist() == [[0, 0, 0], [0, 0, 0]]
    array[1] += 7
    assert array.sum() == 21 and isinstance(array.base, np.memmap) == on_disk
    assert [place.name for place in tmp_path.rglob("*")] == (["result.parts"] if on_disk else [])
    parts.remove()
    assert array[1].tolist() == [7, 7, 7] and parts.zeros((0, 3), float).shape == (0, 3)
    assert parts.zeros((2,), float).tolist() == [0, 0], "the folder is made again"


def test_no_room_for_zeros_is_said(tmp_path, small_files):
    with small_files(), pytest.raises(NeuroglotError, match=r"could not write .*result\.parts: File too large"):
        Parts(tmp_path / "result", PROVENANCE, spills=True).zeros((1000,), float)


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "result.parts").write_text("")
    with pytest.raises(NeuroglotError, match=r"result\.parts is in the way of unfinished work"):
        Parts(tmp_path / "result", PROVENANCE)
