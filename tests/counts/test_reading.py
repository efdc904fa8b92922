"""Counts of others: their files read and written, and files that are wrong or hostile refused in a sentence."""

import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import neuroglot
from neuroglot import ActivationStats, NeuroglotError, read_counts, write_counts

# --- the released counts -----------------------------------------------------------------------


def write_released(folder, code, full, prefix, name="Tiny-1"):
    for kind, (counts, tokens) in {"": full, "prefix.": prefix}.items():
        content = {"total_tokens": tokens, "over_zero": torch.tensor(counts)}
        torch.save(content, folder / f"{kind}activation.{code}.{name}.pt")


def test_released_counts_are_full_minus_prefix(tmp_path):
    write_released(tmp_path, "en", ([[9, 4, 10]], 12), ([[2, 5, 1]], 4))
    write_released(tmp_path, "zh", ([[3, 3, 3]], 6), ([[0, 1, 2]], 2))
    stats = neuroglot.read_njunlp(tmp_path, "zh en")
    assert stats.languages == ("zh", "en") and stats.tokens.tolist() == [4, 8]
    assert stats.counts[..., 0].tolist() == [[3, 2, 1]]
    assert stats.counts[..., 1].tolist() == [[7, 0, 8]]  # 4 - 5 is zero, 10 - 1 is all 8 tokens
    assert neuroglot.read_njunlp(tmp_path).languages == ("en", "zh")
    whole = neuroglot.read_njunlp(tmp_path, "zh en", prompts=True)
    assert whole.tokens.tolist() == [6, 12] and whole.counts.tolist() == [[[3, 9], [3, 4], [3, 10]]]


def test_released_counts_that_are_wrong_are_refused(tmp_path):
    with pytest.raises(NeuroglotError, match=r"has no activation\.LL"):
        neuroglot.read_njunlp(tmp_path)
    write_released(tmp_path, "en", ([[1]], 2), ([[0]], 1))
    with pytest.raises(NeuroglotError, match=r"no file .*activation\.fr"):
        neuroglot.read_njunlp(tmp_path, "en fr")
    write_released(tmp_path, "fr", ([[1, 2]], 2), ([[0, 0]], 0))
    with pytest.raises(NeuroglotError, match="another shape"):
        neuroglot.read_njunlp(tmp_path, "en fr")
    (tmp_path / "activation.fr.Tiny-1.pt").write_bytes(b"not a tensor")
    with pytest.raises(NeuroglotError, match="cannot be read"):
        neuroglot.read_njunlp(tmp_path, "en fr")
    write_released(tmp_path, "fr", ([[1]], 2), ([[0]], 1), name="Other")
    with pytest.raises(NeuroglotError, match="2 models"):
        neuroglot.read_njunlp(tmp_path)


def test_pickles_are_never_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path.joinpath("harmed").touch, ())

    write_released(tmp_path, "en", ([[1]], 2), ([[0]], 1))
    write_released(tmp_path, "fr", ([[1]], 2), ([[0]], 1))
    torch.save(Harm(), tmp_path / "activation.en.Tiny-1.pt")
    with pytest.raises(NeuroglotError, match="cannot be read"):
        neuroglot.read_njunlp(tmp_path)
    assert not (tmp_path / "harmed").exists()


def test_code_that_tensors_do_not_need_is_refused(tmp_path):
    """torch's own list of what is safe has ``bytearray``, which takes any size."""

    class Large:
        def __reduce__(self):
            return bytearray, (10,)

    write_released(tmp_path, "en", ([[1]], 2), ([[0]], 1))
    torch.save({"over_zero": torch.ones(1, 1, dtype=int), "n": Large()}, tmp_path / "activation.en.Tiny-1.pt")
    with pytest.raises(NeuroglotError, match=r"more than tensors: '.*bytearray'"):
        neuroglot.read_njunlp(tmp_path, ["en", "fr"])


# --- LAPE's ------------------------------------------------------------------------------------


def lape(folder, code, content, name="train.tiny"):
    torch.save(content, folder / f"activation.{code}.{name}")


def test_lapes_files_by_hand(tmp_path):
    lape(tmp_path, "zh", {"n": 10, "over_zero": torch.tensor([[1, 2, 3], [0, 10, 4]], dtype=torch.int32)})
    lape(tmp_path, "en", {"n": 7, "over_zero": torch.tensor([[7, 0, 1], [2, 3, 5]])})
    stats = read_counts(tmp_path)
    assert stats.languages == ("en", "zh") and stats.tokens.tolist() == [7, 10]
    assert stats.counts.tolist() == [[[7, 1], [0, 2], [1, 3]], [[2, 0], [3, 10], [5, 4]]]
    assert stats.provenance == {"model": "tiny", "corpus": "unknown, counted by others"}
    assert read_counts(tmp_path, "zh en").counts[1, 1].tolist() == [10, 3]
    assert neuroglot.detect(stats, "lape", top_rate=0.5, filter_rate=0.5, bar_rate=0.5).languages == ("en", "zh")
    assert neuroglot.classify(stats, lam=0.1, top_rate=0.5, quantile=0.5).provenance["model"] == "tiny"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"n": 3, "over_zero": [[1]]}, "in place of whole numbers"),
        ({"n": 3, "over_zero": torch.tensor([[1.5]])}, "not whole numbers"),
        ({"n": 3, "over_zero": torch.tensor([[float("nan")]])}, "not whole numbers"),
        ({"n": 3, "over_zero": torch.tensor([[-1]])}, "not whole numbers from 0 on"),
        ({"n": 3, "over_zero": torch.tensor([[True]])}, "torch.bool in place"),
        ({"n": 3, "over_zero": torch.tensor([1])}, "no counts of layers and neurons"),
        ({"n": 3, "over_zero": torch.tensor([[4]])}, "exceed"),
        ({"n": 1.5, "over_zero": torch.tensor([[1]])}, "no number of tokens"),
        ({"n": -2, "over_zero": torch.tensor([[0]])}, "negative"),
        ({"over_zero": torch.tensor([[1]])}, "cannot be read as released counts"),
        ({"n": 3}, "cannot be read as released counts"),
        (torch.tensor([[1]]), "cannot be read as released counts"),
        ({"n": 3, "over_zero": torch.ones(1, 1, dtype=int).expand(10**5, 10**5)}, "larger than what is stored"),
        ({"n": 3, "over_zero": torch.eye(2).to_sparse()}, "more than tensors"),
    ],
)
def test_counts_that_are_none(tmp_path, content, message):
    lape(tmp_path, "en", content)
    with pytest.raises(NeuroglotError, match=message) as caught:
        read_counts(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def repacked(path, compression=zipfile.ZIP_STORED, **changes):
    """The archive again, with other content of some records, by the end of their names."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in records.items():
            archive.writestr(name, changes.get(name.rpartition("/")[2].replace(".", "_"), data))


def test_no_more_is_taken_than_the_file_holds(tmp_path):
    path = tmp_path / "activation.en.train.tiny"
    large = {"n": 3, "over_zero": torch.zeros(1000, 1000, dtype=int)}
    lape(tmp_path, "en", large)
    repacked(path, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 50_000
    with pytest.raises(NeuroglotError, match="compressed"):
        read_counts(tmp_path)
    lape(tmp_path, "en", large)
    repacked(path, **{"0": b"\0" * 8})
    with pytest.raises(NeuroglotError, match="cannot be read"):
        read_counts(tmp_path)
    torch.save(large, path, _use_new_zipfile_serialization=False)
    with pytest.raises(NeuroglotError, match=r"no archive of torch 1\.6 or later"):
        read_counts(tmp_path)
    lape(tmp_path, "en", large)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(NeuroglotError, match="cannot be read"):
        read_counts(tmp_path)


def test_a_folder_of_two_models_or_none(tmp_path):
    with pytest.raises(NeuroglotError, match=r"has no activation\.LL"):
        read_counts(tmp_path)
    for name in ("train.a", "train.b"):
        lape(tmp_path, "en", {"n": 3, "over_zero": torch.tensor([[1]])}, name)
    with pytest.raises(NeuroglotError, match="2 models"):
        read_counts(tmp_path)


# --- there and back ----------------------------------------------------------------------------


@st.composite
def some(draw):
    shards, layers, width, k = (draw(st.integers(1, most)) for most in (2, 3, 4, 3))
    size = shards * layers * width * k
    counts = np.reshape(draw(st.lists(st.integers(0, 5), min_size=size, max_size=size)), (shards, layers, width, k))
    tokens = np.reshape(draw(st.lists(st.integers(5, 9), min_size=shards * k, max_size=shards * k)), (shards, k))
    return ActivationStats(counts, tokens, ("sr-Latn", "no", "nan")[:k], {"model": "owner/tiny-1.5"})


@given(some(), st.sampled_from(["a.csv", "a.parquet", "a.safetensors", "a"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_again(tmp_path_factory, stats, name):
    path = tmp_path_factory.mktemp("counts") / name
    write_counts(path, stats)
    back = read_counts(path, stats.languages if len(stats.languages) > 1 else None)
    assert back.languages == stats.languages and back.tokens.tolist() == stats.tokens.tolist()
    assert back.counts.tolist() == stats.counts.tolist()
    if name == "a":
        found = sorted(path.iterdir())
        assert [one.name for one in found] == sorted(f"activation.{code}.train.tiny-1.5" for code in stats.languages)
        assert back.provenance["model"] == "tiny-1.5"
    before = {one: one.read_bytes() for one in [path, *path.rglob("*")] if one.is_file()}
    if name == "a":
        with pytest.raises(NeuroglotError, match="is there already"):
            write_counts(path, stats)
    else:
        write_counts(path, stats)
    assert before == {one: one.read_bytes() for one in before}


def test_what_a_layout_cannot_say_is_refused(tmp_path):
    stats = ActivationStats(np.ones((1, 1, 2, 2), int), np.array([[3, 3]]), ("en", "a.b"))
    with pytest.raises(NeuroglotError, match=r"'a\.b' has a dot"):
        write_counts(tmp_path / "folder", stats)
    with pytest.raises(NeuroglotError, match=r"use \.csv"):
        write_counts(tmp_path / "a.txt", stats)
    mixture = ActivationStats(*(stats.shard_counts, stats.shard_tokens), ("en", "de"), {}, np.full((1, 1, 1, 2), 2))
    with pytest.raises(NeuroglotError, match="mixture"):
        write_counts(tmp_path / "a.csv", mixture)
    assert list(tmp_path.iterdir()) == []


# --- tables ------------------------------------------------------------------------------------

HEAD = "layer,neuron,language,count,tokens,note\n"
ROWS = ["0,0,en,1,5,x", "0,0,de,2,6,", "0,1,en,0,5,y", "0,1,de,6,6,z"]


def test_a_table_by_hand(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text(HEAD + "\n".join(reversed(ROWS)))
    stats = read_counts(path, "en de")
    assert stats.counts.tolist() == [[[1, 2], [0, 6]]] and stats.tokens.tolist() == [5, 6]
    assert read_counts(path).languages == ("de", "en")
    path.write_text((HEAD + "\n".join(ROWS)).replace(",", "\t"))
    assert read_counts(path).counts.tolist() == stats.counts.tolist()
    pd.DataFrame(
        {"layer": [0.0, 0], "neuron": [1, 0], "language": pd.Categorical(["en", "en"]), "count": [2, 3]}
    ).assign(tokens=4).to_parquet(tmp_path / "counts.parquet")
    assert read_counts(tmp_path / "counts.parquet").counts.tolist() == [[[3], [2]]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*ROWS, ROWS[1]], "row 6 has the layer, neuron, language of row 3; name each once"),
        (ROWS[:3], r"has 3 rows, of 1 layers x 2 neurons x 2 languages"),
        ([*ROWS[:3], "9000,2000000000,de,6,6,z"], "has 4 rows, of 9,001 layers x 2,000,000,001 neurons"),
        ([*ROWS[:3], "0,1,de,6,7,z"], "the tokens of de differ"),
        ([*ROWS[:3], "0,1,de,7,6,z"], "exceed"),
        ([*ROWS[:3], "0,1,de,,6,z"], "row 5, column count: '' is no whole number from 0"),
        ([*ROWS[:3], "0,1,de,-1,6,z"], "row 5, column count: '-1' is no whole number from 0"),
        ([*ROWS[:3], "0,1.5,de,1,6,z"], "row 5, column neuron: '1.5' is no whole number from 0 to 2,147,483,647"),
        ([*ROWS[:3], "0,1, ,1,6,z"], "row 5, column language: ' ' is no text"),
        ([*ROWS[:3], "0,1,de,1,6"], "cannot be read as a table .*[Ee]xpected 6 columns, got 5"),
        ([], "has 0 rows"),
    ],
)
def test_a_table_that_is_wrong(tmp_path, rows, message):
    path = tmp_path / "counts.csv"
    path.write_text(HEAD + "\n".join(rows))
    with pytest.raises(NeuroglotError, match=message) as caught:
        read_counts(path)
    assert str(path) in str(caught.value)


# --- what is published -------------------------------------------------------------------------


def test_the_released_counts_there_and_back(shared, tmp_path):
    stats = read_counts(shared / "njunlp-mistral" / "activations", "en zh")
    write_counts(tmp_path / "lape", stats)
    back = read_counts(tmp_path / "lape", "en zh")
    assert back.shape == (32, 14336, 2) and (back.counts == stats.counts).all()
    assert back.tokens.tolist() == stats.tokens.tolist() == [583261 - 263330, int(stats.tokens[1])]
