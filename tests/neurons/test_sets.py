"""Sets of neurons in the files of others and in ours: there and back, by hand, and what is wrong in a sentence."""

import os

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from neuroglot import ActivationStats, NeuroglotError, NeuronSet, classify, detect, read_neurons, write_neurons
from neuroglot.base import columns
from neuroglot.neurons.sets import in_place_of, read_fitting

from ..counts.test_activations import rewrite

CODES = ("sr-Latn", "no", "nan")


@st.composite
def some(draw):
    """Languages and layers without neurons, neurons of several languages."""
    k, layers, width = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 5))
    index = st.sets(st.integers(0, width - 1)).map(sorted)
    indices = draw(st.lists(st.lists(index, min_size=layers, max_size=layers), min_size=k, max_size=k))
    known = draw(st.booleans())
    return NeuronSet(
        CODES[:k],
        indices,
        layers=layers,
        width=width if known else None,
        method="by hand" if known else None,
        settings={"rate": 0.1} if known else {},
        provenance={"model": "tiny", "corpus": "none"} if known else {},
    )


def lists(found, layers=None):
    """By language, the neurons of each layer; where the file does not say how many, so many layers."""
    each = {code: [index.tolist() for index in found.neurons(code)] for code in found.languages}
    return each if layers is None else {code: (one + [[]] * layers)[:layers] for code, one in each.items()}


@given(some(), st.sampled_from(["a.safetensors", "a.csv", "a.parquet", "a.pth"]))
@settings(max_examples=120, deadline=None)
def test_what_is_written_is_read_again(tmp_path_factory, found, name):
    path = tmp_path_factory.mktemp("sets") / name
    write_neurons(path, found)
    first = path.read_bytes()
    back = read_neurons(path, found.languages)
    assert back.languages == found.languages and back.sizes() == found.sizes()
    assert lists(back, found.layers) == lists(found)
    assert all(index.dtype == np.int64 for code in back.languages for index in back.neurons(code))
    if name == "a.safetensors":
        for what in ("layers", "width", "method", "settings", "provenance"):
            assert getattr(back, what) == getattr(found, what)
        assert lists(read_neurons(path)) == lists(found)
    else:
        assert (back.width, back.method, back.provenance) == (None, None, {})
        assert back.layers == (found.layers if name == "a.pth" else None)
    write_neurons(path, back if name != "a.pth" else found)
    assert path.read_bytes() == first, "the same set gives the same bytes"
    assert lists(back.fitted(found.layers, found.width or 5)) == lists(found)


def test_the_open_format_is_three_columns(tmp_path):
    found = NeuronSet(("en", "de", "zh"), ([[3, 9], []], [[], []], [[9], [0]]), layers=2, width=10)
    found.save(tmp_path / "a.safetensors")
    arrays = {name: array.tolist() for name, array in load_file(tmp_path / "a.safetensors").items()}
    assert arrays == {"language": [0, 0, 2, 2], "layer": [0, 0, 0, 1], "neuron": [3, 9, 9, 0]}
    assert found.table().to_dict("list") == {
        "language": ["en", "en", "zh", "zh"], "layer": [0, 0, 0, 1], "neuron": [3, 9, 9, 0],
    }  # fmt: skip
    write_neurons(tmp_path / "a.csv", found)
    assert (tmp_path / "a.csv").read_text() == "language,layer,neuron\nen,0,3\nen,0,9\nzh,0,9\nzh,1,0\n"
    write_neurons(tmp_path / "a.pth", found)
    masks = torch.load(tmp_path / "a.pth", weights_only=True)
    assert [[index.tolist() for index in each] for each in masks] == [[[3, 9], []], [[], []], [[9], [0]]]
    assert read_neurons(tmp_path / "a.csv").languages == ("en", "zh")
    with_all = read_neurons(tmp_path / "a.csv", "zh de en")
    assert lists(with_all) == {"zh": [[9], [0]], "de": [[], []], "en": [[3, 9], []]}
    described = dict(found.describe().itertuples(index=False))
    assert described["model"] == described["method"] == described["corpus"] == "unknown"
    assert described["neurons"] == "en 2, de 0, zh 2"


@pytest.fixture
def stats():
    rng = np.random.default_rng(3)
    rates = np.clip(rng.beta(0.4, 1.5, size=(3, 50, 3)), 0, 1)
    return ActivationStats(rng.binomial(90, rates)[None], np.full((1, 3), 90), ("en", "de", "zh"), {"model": "tiny"})


def test_our_own_files_are_read(stats, tmp_path):
    types = classify(stats, top_rate=0.3, quantile=0.8, lam=0.1)
    found = detect(stats, "lape", top_rate=0.2, filter_rate=0.5, bar_rate=0.7)
    for one, method in ((types, "lambda-score"), (found, "lape")):
        one.save(tmp_path / "one.safetensors")
        back = read_neurons(tmp_path / "one.safetensors", "zh en")
        assert (back.languages, back.layers, back.width, back.method) == (("zh", "en"), 3, 50, method)
        assert back.provenance == {"model": "tiny"} and sum(back.sizes().values()) > 5
        for code in ("zh", "en"):
            assert all((a == b).all() for a, b in zip(one.neurons(code), back.neurons(code), strict=True))
    with pytest.raises(NeuroglotError, match="there is no language 'xx'"):
        read_neurons(tmp_path / "one.safetensors", "en xx")
    stats.save(tmp_path / "stats.safetensors")
    with pytest.raises(NeuroglotError, match="holds activations, not neurons"):
        read_neurons(tmp_path / "stats.safetensors")


# --- what does not fit -------------------------------------------------------------------------


def test_a_set_fits_a_model_or_is_refused():
    found = NeuronSet(("en", "de"), ([[1], [7]], [[], []]))
    assert lists(found.fitted(3, 8)) == {"en": [[1], [7], []], "de": [[], [], []]}
    assert (found.fitted(3, 8).layers, found.fitted(3, 8).width) == (3, 8)
    for shape, known in (((1, 8), {}), ((2, 7), {}), ((3, 8), {"layers": 2}), ((2, 9), {"width": 8})):
        one = NeuronSet(("en", "de"), found.indices, **known)
        with pytest.raises(NeuroglotError, match=rf"this one has {shape[0]} of {shape[1]}; give neurons of this model"):
            one.fitted(*shape)


def test_a_file_fits_a_run_or_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("neuron,language,layer\n4,de,1\n2,en,0\n")
    assert lists(read_fitting(path, ("en", "de"), 3, 5)) == {"en": [[2], [], []], "de": [[], [4], []]}
    with pytest.raises(NeuroglotError, match="has neurons of de en, this run is of en de ru; take the same"):
        read_fitting(path, ("en", "de", "ru"), 3, 5)
    with pytest.raises(NeuroglotError, match=r"a\.csv: these neurons are of a model of 2 or more layers of 5 or more"):
        read_fitting(path, ("en", "de"), 1, 5)
    write_neurons(tmp_path / "a.pth", read_neurons(path))
    with pytest.raises(NeuroglotError, match="2 languages and does not name them; give their codes in its order"):
        read_fitting(tmp_path / "a.pth", ("en", "de"), 3, 5)


def test_types_of_a_file(stats, tmp_path):
    types = classify(stats, top_rate=0.3, quantile=0.8, lam=0.1)
    assert in_place_of(types, None) is types
    given = NeuronSet(("zh", "en", "de"), ([[1], [2, 3], []], [[1], [], []], [[1, 4], [], [49]]), width=50, method="x")
    given.save(tmp_path / "own.safetensors")
    found = in_place_of(types, tmp_path / "own.safetensors")
    assert found.languages == ("en", "de", "zh") and (found.score == types.score).all()
    each = {kind: {c: [n.tolist() for n in found.neurons(c, kind)] for c in found.languages} for kind in found.sizes()}
    assert each["general"] == {code: [[1], [], []] for code in found.languages}
    assert each["specific"] == {"en": [[], [], []], "de": [[4], [], [49]], "zh": [[], [2, 3], []]}
    assert each["related"] == {code: [[], [], []] for code in found.languages}
    assert found.provenance == types.provenance | {"outside": {"file": "own.safetensors", "method": "x", "model": None}}
    for code in found.languages:
        assert [n.tolist() for n in found.neurons(code)] == [n.tolist() for n in given.fitted(3, 50).neurons(code)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"languages": ()}, "name at least"),
        ({"languages": ("en", "en")}, "named twice"),
        ({"languages": ("en",)}, "1 languages and neurons of 2"),
        ({"indices": ([[1]], [[1], [2]])}, "neurons of 1, 2 layers"),
        ({"layers": 3}, "neurons of 2 layers, of 3"),
        ({"layers": True}, "layers=True"),
        ({"width": 0}, "width=0"),
        ({"width": 7}, "de, layer 1: there is no neuron 7; they are 0 to 6"),
        ({"indices": ([[-1], []], [[], []])}, "en, layer 0: there is no neuron -1"),
        ({"indices": ([[2, 1], []], [[], []])}, "en, layer 0: a neuron is named twice or out of order"),
        ({"indices": ([[1.0], []], [[], []])}, "en, layer 0: the neurons are no list of whole numbers"),
        ({"indices": ([1, []], [[], []])}, "en, layer 0: the neurons are no list of whole numbers"),
        ({"method": 3}, "method=3"),
    ],
)
def test_a_set_that_is_none(changes, message):
    with pytest.raises(NeuroglotError, match=message):
        NeuronSet(**{"languages": ("en", "de"), "indices": ([[1], []], [[], [7]]), **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"languages": lambda _: ["en"]}, "no whole numbers of one length"),
        ({"languages": lambda _: []}, "no whole numbers of one length"),
        ({"languages": lambda _: None}, "list of different languages"),
        ({"layer": lambda a: a + 10_000}, "no whole numbers of one length"),
        ({"layer": lambda a: a[:-1]}, "no whole numbers of one length"),
        ({"layer": lambda a: a.astype(float)}, "no whole numbers of one length"),
        ({"neuron": lambda a: a - 2}, "no whole numbers of one length"),
        ({"neuron": lambda a: a * 0, "layer": lambda a: a * 0, "language": lambda a: a * 0}, "named twice"),
        ({"layers": lambda _: 10**12}, "layers=1000000000000"),
        ({"layers": lambda _: "2"}, "layers='2'"),
        ({"layers": lambda _: 1}, "neurons of 2 layers, of 1"),
        ({"width": lambda _: 3}, "there is no neuron 7"),
        ({"settings": lambda _: None}, "lacks its settings"),
        ({"provenance": lambda _: 3}, "damaged provenance"),
    ],
)
def test_a_file_of_ours_that_is_wrong(tmp_path, changes, message):
    path = tmp_path / "a.safetensors"
    NeuronSet(("en", "de"), ([[1], []], [[], [7]]), layers=2).save(path)
    rewrite(path, **changes)
    with pytest.raises(NeuroglotError, match=message) as caught:
        read_neurons(path)
    assert "a.safetensors" in str(caught.value)


# --- masks -------------------------------------------------------------------------------------


def index(*numbers, dtype=torch.int64):
    return torch.tensor(numbers, dtype=dtype)


def test_masks_by_hand(tmp_path):
    shared = torch.arange(6)
    torch.save(
        [[index(5, 2), shared[:0]], [index(), shared[2:4]], [index(1.0, dtype=torch.float32), index()]], tmp_path / "m"
    )
    found = read_neurons(tmp_path / "m", "en zh fr")
    assert lists(found) == {"en": [[2, 5], []], "zh": [[], [2, 3]], "fr": [[1], []]} and found.layers == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"en": 1}, "holds no masks of neurons"),
        ([index(1), index(2)], "holds no masks of neurons"),
        ([[index(1)]], "has neurons of 1 languages, not 2; give their codes in its order"),
        ([[index(1)], [index(1), index(2)]], "neurons of 1, 2 layers"),
        ([[index(-1)], [index()]], "whole numbers from 0 on"),
        ([[index(2**40)], [index()]], "en, layer 0: there is no neuron 1099511627776"),
        ([[index(2, 2)], [index()]], "en, layer 0: a neuron is named twice"),
        ([[index(1.5, dtype=torch.float64)], [index()]], "whole numbers"),
        ([[index(float("nan"), dtype=torch.float64)], [index()]], "whole numbers"),
        ([[index(1, 0, dtype=torch.bool)], [index()]], "torch.bool in place of whole numbers"),
        ([[[1]], [[2]]], "in place of whole numbers"),
        ([[torch.ones(2, 2, dtype=int)], [index()]], "no list of whole numbers"),
        ([[torch.zeros(1, dtype=int).expand(10**10)], [index()]], "larger than what is stored"),
        ([[torch.arange(400)] * 30] * 2, "more neurons than it can hold"),
    ],
)
def test_masks_that_are_none(tmp_path, content, message):
    torch.save(content, tmp_path / "a.neuron.pth")
    with pytest.raises(NeuroglotError, match=message) as caught:
        read_neurons(tmp_path / "a.neuron.pth", "en zh")
    assert "a.neuron.pth" in str(caught.value) and "\n" not in str(caught.value)


def test_a_list_in_itself_is_refused(tmp_path):
    endless = []
    endless.append(endless)
    torch.save(endless, tmp_path / "a.pth")
    with pytest.raises(NeuroglotError, match="in place of whole numbers"):
        read_neurons(tmp_path / "a.pth", "en")


def test_no_code_of_a_file_is_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path.joinpath("harmed").touch, ())

    for zipped in (True, False):
        torch.save([[Harm()]], tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
        with pytest.raises(
            NeuroglotError, match="more than tensors" if zipped else "is a pickle, which could run code"
        ):
            read_neurons(tmp_path / "a.pth", "en")
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "nothing"])
def test_what_is_no_file_is_refused(tmp_path, kind):
    path = tmp_path / "a.csv"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(NeuroglotError, match=r"there is no file .*a\.csv"):
        read_neurons(path)


# --- tables ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as a table"),
        ("layer,neuron\n1,2\n", "has no column 'language', only layer, neuron; give it layer, neuron, language"),
        ("layer,neuron,language,layer\n1,2,en,1\n", "has 2 columns 'layer'"),
        ("layer,neuron,language\n", "has no row, so it names no language"),
        ("layer,neuron,language\n0,1,en\n0,x,de\n", "row 3, column neuron: 'x' is no whole number from 0"),
        (
            "layer,neuron,language\n0,1,en\n10000,1,en\n",
            "row 3, column layer: '10000' is no whole number from 0 to 9,999",
        ),
        ("layer,neuron,language\n0,1e300,en\n", "row 2, column neuron: '1e300'"),
        ("layer,neuron,language\n0,inf,en\n", "row 2, column neuron: 'inf'"),
        ("layer,neuron,language\n0,nan,en\n", "row 2, column neuron: 'nan'"),
        ("layer,neuron,language\n0,1,\n", "row 2, column language: '' is no text"),
        ('layer,neuron,language\n0,1,"e\tn"\n', "cannot name a language"),
        ("layer,neuron,language\n0,1,en\n0,2,en\n0.0,1,en\n", "row 4 has the layer, neuron, language of row 2"),
        ("layer,neuron,language\n0,1\n", "cannot be read as a table"),
        ("layer,neuron,language\n0,1,\xff\n", "cannot be read as a table"),
    ],
)
def test_a_table_that_is_wrong(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(NeuroglotError, match=message) as caught:
        read_neurons(path)
    assert "a.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_a_language_that_is_not_named_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("layer,neuron,language\n0,1,en\n0,2,fra\n")
    with pytest.raises(NeuroglotError, match="row 3, column language: 'fra' is none of en fr; name it, too"):
        read_neurons(tmp_path / "a.csv", "en fr")


def test_parquet_that_is_wrong(tmp_path):
    path = tmp_path / "a.parquet"
    good = pd.DataFrame({"layer": [0, 1], "neuron": [1.0, 2.0], "language": ["en", "de"], "more": [[1], None]})
    good.to_parquet(path)
    assert lists(read_neurons(path)) == {"en": [[1], []], "de": [[], [2]]}
    for changed, message in (
        ({"layer": [True, False]}, "the column layer holds 'bool'"),
        ({"layer": pd.to_datetime(["2020", "2021"])}, "the column layer holds 'timestamp"),
        ({"neuron": [1.0, np.nan]}, "row 2, column neuron: nan is no whole number"),
        ({"neuron": [None, None]}, "row 1, column neuron: .* is no whole number"),
        ({"language": ["en", None]}, "row 2, column language: .* is no text"),
        ({"language": [None, None]}, "row 1, column language: .* is no text"),
        ({"language": [1, 2]}, "the column language holds 'int64'; give text"),
    ):
        good.assign(**changed).to_parquet(path)
        with pytest.raises(NeuroglotError, match=message):
            read_neurons(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(NeuroglotError, match="cannot be read as a table"):
        read_neurons(path)


def test_a_few_bytes_of_many_rows_are_refused(tmp_path, monkeypatch):
    pd.DataFrame({"layer": [0] * 5000, "neuron": 1, "language": "en"}).to_parquet(tmp_path / "a.parquet")
    monkeypatch.setattr(columns, "MOST_ROWS", 4999)
    with pytest.raises(NeuroglotError, match="says that it has 5,000 rows"):
        read_neurons(tmp_path / "a.parquet")


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(NeuroglotError, match=r"use \.safetensors, \.csv, \.parquet or \.pth"):
        write_neurons(tmp_path / "a.txt", NeuronSet(("en",), ([[1]],)))
    assert list(tmp_path.iterdir()) == []


# --- what is published -------------------------------------------------------------------------


def test_the_published_masks_of_lape(shared, tmp_path):
    """The numbers of each language, in the order of the file."""
    path = shared / "rucaibox-lape" / "LLaMA-2-7B.neuron.pth"
    found = read_neurons(path, "en zh fr es vi id ja")
    assert list(found.sizes().values()) == [95, 583, 1022, 838, 836, 1068, 582] and found.layers == 32
    assert found.fitted(32, 11008).width == 11008
    write_neurons(tmp_path / "back.pth", found)
    one, other = (torch.load(each, weights_only=True) for each in (path, tmp_path / "back.pth"))
    assert all((a == b).all() for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True))
    bloom = read_neurons(path.with_name("BLOOM-7B.neuron.pth"), "en zh fr es vi id")
    assert bloom.layers == 30 and min(bloom.sizes().values()) > 400
