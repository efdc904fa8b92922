import platform
from importlib.metadata import version

import numpy as np

from neuroglot import __version__
from neuroglot.base.provenance import differing, record, table, versions


def test_versions_are_of_the_package_and_in_the_order_asked_for():
    assert list(versions("torch", "python").items()) == [
        ("neuroglot", __version__),
        ("torch", version("torch")),
        ("python", platform.python_version()),
    ]


def test_a_record_keeps_its_order_and_is_what_a_file_gives_back():
    said = record({"model": "m"}, {"corpus": "c", "options": {"only": ("de", "en")}}, seed=np.int64(3), libraries=())
    assert list(said) == ["model", "corpus", "options", "seed", "versions"]
    assert said["options"] == {"only": ["de", "en"]} and type(said["seed"]) is int
    assert said["versions"] == {"neuroglot": __version__}


def test_provenances_differ_by_keys_but_not_by_machine():
    one = {"model": "m", "seed": None, "machine": {"threads": 1}}
    assert differing(one, {"seed": None, "model": "m"}) == []
    assert differing(one, {"model": "n", "corpus": "c"}) == ["model", "seed", "corpus"]


def test_a_table_shows_nested_words_short_hashes_and_no_empty_ones():
    said = {
        "model": "m",
        "revision": "",
        "corpus_sha256": "0123456789abcdefgh",
        "settings": {"max_tokens": None, "n": 0},
    }
    shown = table(said, {"neurons": "5"})
    assert list(shown.columns) == ["what", "value"]
    assert list(shown.itertuples(index=False, name=None)) == [
        ("model", "m"),
        ("corpus sha256", "0123456789abcdef…"),
        ("settings n", "0"),
        ("neurons", "5"),
    ]
