"""Which languages share neurons, families and scripts, and the pictures of it, against independent arithmetic."""

import base64
import html
import itertools
import json
import re
import struct
import zlib
from collections import Counter

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert
from hypothesis import given, settings
from hypothesis import strategies as st
from lingua import Language

from neuroglot import KINDS, ActivationStats, NeuroglotError, NeuronTypes, classify, four_parts, layer_profile
from neuroglot.base import uncertainty
from neuroglot.book import charts
from neuroglot.neurons import layers, sharing
from neuroglot.text import languages

CODES = ("en", "de", "es", "ru", "zh")
SETTINGS = {"top_rate": 0.4, "quantile": 0.6, "lam": 0.1}


@pytest.fixture
def stats():
    rng = np.random.default_rng(3)
    p = rng.beta(0.4, 0.6, size=(6, 70, 5))
    p[:, :4] = 0.99
    return ActivationStats(rng.binomial(30, p, size=(4, 6, 70, 5)), np.full((4, 5), 30), CODES)


@pytest.fixture
def types(stats):
    found = classify(stats, **SETTINGS)
    assert {*found.kind.ravel()} == {*KINDS}
    return found


def types_of(counts: dict[str, int], codes: str) -> NeuronTypes:
    """One layer of selected neurons: so many that are active in these languages."""
    codes = codes.split()
    rows = [[code in names.split() for code in codes] for names, n in counts.items() for _ in range(n)]
    active = np.array(rows, dtype=bool).reshape(1, -1, len(codes))
    score = np.zeros(active.shape[:2])
    return NeuronTypes(tuple(codes), 1.0, 0.1, 0.9, True, False, 0.5, score, score == 0, active)


def values(chart):
    return [pd.DataFrame(rows) for rows in chart.to_dict()["datasets"].values()]


# --- sets --------------------------------------------------------------------------------------


def test_sets_are_those_of_the_table(types):
    table = types.table()
    for kind in KINDS:
        found = sharing.sets(types, kind)
        counted = Counter(table["languages"][table["kind"] == kind])
        assert dict(zip(found["languages"], found["neurons"], strict=True)) == counted
        assert found["n_languages"].tolist() == [len(names.split()) for names in found["languages"]]
        places = [tuple(CODES.index(code) for code in names.split()) for names in found["languages"]]
        keys = [(-n, place) for n, place in zip(found["neurons"], places, strict=True)]
        assert keys == sorted(keys)
    with pytest.raises(NeuroglotError, match="no neuron type 'shared'"):
        sharing.sets(types, "shared")


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 60), min_size=25, max_size=25))
def test_chance_keeps_both_numbers_and_is_a_product_of_odds(numbers):
    names = [" ".join(some) for n in (2, 3, 4) for some in itertools.combinations("abcde", n)]
    found = sharing.sets(types_of(dict(zip(names, numbers, strict=True)), "a b c d e")).set_index("languages")
    for code in "abcde":
        has = found.index.str.contains(code)
        assert found["expected"][has].sum() == pytest.approx(found["neurons"][has].sum(), rel=1e-6)
    for n in (2, 3, 4):
        size = found["n_languages"] == n
        assert found["expected"][size].sum() == pytest.approx(found["neurons"][size].sum())
    # Odds of a against b are the same whatever else a neuron has, and however much.
    without = [" ".join(some) for n in (1, 2, 3) for some in itertools.combinations("cde", n)]
    ratios = [found["expected"][f"a {rest}"] / found["expected"][f"b {rest}"] for rest in without]
    assert ratios == pytest.approx([ratios[0]] * 7, rel=1e-6)


def test_chance_by_hand():
    pairs = sharing.sets(types_of({"a b": 9, "c d": 9}, "a b c d"))
    assert pairs["expected"].tolist() == pytest.approx([18 / 6] * 2)  # all languages alike: six pairs
    always = sharing.sets(types_of({"a b": 6, "a c": 2, "a b c": 5}, "a b c d e"))
    assert always["expected"].tolist() == pytest.approx([6, 5, 2])  # a is in all, d and e are in none
    one = sharing.sets(types_of({"a": 4, "b": 2}, "a b c"), "specific")
    assert one["expected"].tolist() == pytest.approx([4, 2])


def test_no_neurons_make_no_sets():
    nothing = sharing.sets(types_of({"a": 3}, "a b c"))
    assert len(nothing) == 0 and list(nothing) == ["languages", "n_languages", "neurons", "expected"]


# --- similarity --------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [("related",), "specific", ("specific", "related", "general")])
def test_similarity_is_that_of_sets_of_neurons(types, kinds):
    table = types.table()
    table = table[table["kind"].isin([kinds] if isinstance(kinds, str) else kinds)]
    own = {
        code: {(row.layer, row.neuron) for row in table.itertuples() if code in row.languages.split()} for code in CODES
    }
    found = sharing.similarity(types, kinds)
    for a, b in itertools.product(CODES, CODES):
        assert found.loc[a, b] == pytest.approx(len(own[a] & own[b]) / len(own[a] | own[b]))


def test_languages_without_neurons_have_no_similarity():
    found = sharing.similarity(types_of({"a b": 3, "a": 2}, "a b c d"))
    assert found.loc["a", "b"] == 1 and found.loc["a", "c"] == 0
    assert np.isnan(found.loc["c", "d"]) and np.isnan(found.loc["c", "c"])
    assert sorted(sharing.order(found)) == list("abcd")


def test_order_puts_those_that_share_beside_each_other():
    codes = list("abcdef")
    groups = {"a": 0, "b": 1, "c": 0, "d": 2, "e": 1, "f": 2}
    similarity = pd.DataFrame(
        [[1.0 if a == b else 0.8 if groups[a] == groups[b] else 0.1 for b in codes] for a in codes], codes, codes
    )
    found = sharing.order(similarity)
    assert sorted(found) == codes and [groups[a] == groups[b] for a, b in itertools.pairwise(found)][::2] == [True] * 3
    tree = sharing.linkage(similarity)
    assert tree.shape == (5, 4) and tree[:, 2] == pytest.approx([0.2, 0.2, 0.2, 0.9, 0.9])
    assert found == sharing.order(similarity.copy())


# --- families and scripts ----------------------------------------------------------------------


def test_every_language_that_is_detected_has_one_family_and_script():
    codes = {language.iso_code_639_1.name.lower() for language in Language.all()}
    listed = " ".join(languages._BRANCHES.values()).split()
    assert len(listed) == len(set(listed)) == 75 and set(listed) == codes
    assert {languages.script(code) for code in codes} == set(languages._SCRIPT_TAGS)
    assert all(map(languages.is_detectable, codes))


@pytest.mark.parametrize(
    ("code", "family", "script"),
    [
        ("en", "Germanic", "Latin"),
        ("zh-Hant", "Sinitic", "Han"),
        ("zho_Hans", "Sinitic", "Han"),
        ("cmn", "Sinitic", "Han"),
        ("no", "Germanic", "Latin"),
        ("swh", "Bantu", "Latin"),
        ("pt-BR", "Romance", "Latin"),
        ("sr", "Slavic", "Cyrillic"),
        ("sr-Latn", "Slavic", "Latin"),
        ("sr-Latn-RS", "Slavic", "Latin"),
        ("pa_Arab_PK", "Indo-Aryan", "Arabic"),
        ("ja", "Japonic", "Japanese"),
        ("ur", "Indo-Aryan", "Arabic"),
        ("tlh", None, None),
        ("tlh-Latn", None, "Latin"),
        ("en-Brai", "Germanic", None),
    ],
)
def test_families_and_scripts(code, family, script):
    assert (languages.family(code), languages.script(code)) == (family, script)


def similarity_of(codes: str, seed: int) -> pd.DataFrame:
    codes = codes.split()
    half = np.triu(np.random.default_rng(seed).random((len(codes), len(codes))), 1)
    return pd.DataFrame(half + half.T + np.eye(len(codes)), codes, codes)


def slow_kinship(similarity, groups):
    """Pairs, means and the share of all permutations with at least this difference."""

    def means(names):
        pairs = [(names[i] == names[j], similarity.iloc[i, j]) for i, j in itertools.combinations(range(len(names)), 2)]
        parts = [[value for same, value in pairs if same is wanted] for wanted in (True, False)]
        return len(parts[0]), *(sum(part) / len(part) for part in parts)

    n, within, between = means(groups)
    every = [means(names)[1:] for names in itertools.permutations(groups)]
    share = np.mean([a - b >= within - between - 1e-12 for a, b in every])
    return [n, within, between, within - between, share]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("codes", ["en de es fr ru zh", "hi fr mr bn it ur", "en es ru uk zh"])
def test_kinship_is_the_share_of_all_permutations(codes, seed):
    similarity = similarity_of(codes, seed)
    found = sharing.kinship(similarity).set_index("grouping")
    for name, of in (("family", languages.family), ("script", languages.script)):
        expected = slow_kinship(similarity, [of(code) for code in codes.split()])
        assert found.loc[name, ["pairs", "within", "between", "difference", "p"]].tolist() == pytest.approx(expected)


def test_many_languages_are_dealt_at_random():
    similarity = similarity_of("en de nl sv es fr it pt ru uk pl bg", 1)
    found = sharing.kinship(similarity, 99, seed=5)
    assert found.equals(sharing.kinship(similarity, 99, seed=5))
    groups = [languages.family(code) for code in similarity.index]
    rng, order, hits = np.random.default_rng(5), np.unique(groups, return_inverse=True)[1], 0
    for _ in range(99):
        dealt = rng.permutation(order)
        pairs = [(dealt[i] == dealt[j], similarity.iloc[i, j]) for i, j in itertools.combinations(range(12), 2)]
        means = [np.mean([value for same, value in pairs if same == wanted]) for wanted in (True, False)]
        hits += means[0] - means[1] >= found["difference"][0]
    assert found["p"][0] == (hits + 1) / 100 and 0 < hits < 99
    with pytest.raises(NeuroglotError, match="permutations=0"):
        sharing.kinship(similarity, 0)


def test_what_cannot_be_told_has_no_number():
    found = sharing.kinship(similarity_of("en zh ru", 0)).set_index("grouping")
    assert (found["pairs"] == 0).all() and found[["within", "difference", "p"]].isna().all(axis=None)
    assert found["between"].notna().all()
    same = sharing.kinship(similarity_of("en de nl", 0))
    assert same["between"].isna().all() and same["p"].isna().all() and same["pairs"].tolist() == [3, 3]
    # Klingon has no family here, so the rest is as if it were not there.
    similarity = similarity_of("en de tlh zh ja", 2)
    rest = similarity.drop(index="tlh", columns="tlh")
    assert sharing.kinship(similarity).equals(sharing.kinship(rest))


def test_pairs_without_a_similarity_are_left_out():
    similarity = similarity_of("en de nl zh ja", 3)
    similarity.loc["en", "de"] = similarity.loc["de", "en"] = np.nan
    row = sharing.kinship(similarity).iloc[0]
    assert row["pairs"] == 2
    assert row["within"] == pytest.approx((similarity.loc["en", "nl"] + similarity.loc["de", "nl"]) / 2)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) <= 7))
def test_every_deal_once(sizes):
    groups = [group for group, size in enumerate(sizes) for _ in range(size)]

    def blocks(names):
        return frozenset(frozenset(i for i, name in enumerate(names) if name == one) for one in set(names))

    found = [blocks(deal.tolist()) for deal in uncertainty._deals(np.array(sizes))]
    assert set(found) == {blocks(names) for names in itertools.permutations(groups)}
    assert len(found) == len(set(found)) == uncertainty._n_deals(np.array(sizes))


@pytest.fixture
def theme():
    charts.enable()
    yield
    alt.theme.enable("default")
    alt.renderers.enable("default")


def test_the_sets_that_are_drawn(types, theme):
    sets = sharing.sets(types)
    order = sharing.order(sharing.similarity(types))
    chart = charts.upset(sets, order, most=7)
    spec = chart.to_dict()
    assert spec["title"]["text"] and spec["description"] and f"7 largest of {len(sets)}" in str(spec["title"])
    drawn = values(chart)
    bars = next(data for data in drawn if "expected" in data)
    assert bars["neurons"].tolist() == sets["neurons"].tolist()[:7]
    assert bars["expected"].tolist() == sets["expected"].round(2).tolist()[:7]
    dots = next(data for data in drawn if "within" in data)
    assert len(dots) == 7 * 5 and dots["language"].tolist() == order * 7
    for names, own in dots[dots["within"]].groupby("languages"):
        assert set(own["language"]) == set(names.split())
    totals = next(data for data in drawn if "name" in data).set_index("language")["neurons"]
    related = types.counts_per_language().query("kind == 'related'").set_index("language")["neurons"]
    assert totals.to_dict() == related.to_dict()
    assert "<svg" in vl_convert.vegalite_to_svg(spec)


def test_the_similarities_that_are_drawn(types, theme):
    similarity = sharing.similarity(types)
    order = sharing.order(similarity)
    chart = charts.similarity(similarity, order)
    (cells,) = values(chart)
    assert len(cells) == 5 * 4
    for row in cells.itertuples():
        assert row.similarity == pytest.approx(similarity.loc[row.one, row.other], abs=1e-4)
        assert row.kin == ({row.one, row.other} == {"en", "de"})
    assert set(cells["one_is"]) >= {"English, Germanic, Latin", "Chinese, Sinitic, Han"}
    spec = chart.to_dict()
    assert all(layer["encoding"]["x"]["sort"] == order == layer["encoding"]["y"]["sort"] for layer in spec["layer"])
    assert len(spec["layer"]) == 2 and "<svg" in vl_convert.vegalite_to_svg(spec)
    many = [f"l{i}" for i in range(17)]
    assert len(charts.similarity(pd.DataFrame(0.1, many, many), many).to_dict()["layer"]) == 1


def test_charts_of_nothing_are_drawn_all_the_same(theme):
    nothing = types_of({"a": 3}, "a b c")
    similarity = sharing.similarity(nothing)
    for chart in (charts.upset(sharing.sets(nothing), ["a", "b", "c"]), charts.similarity(similarity, list("abc"))):
        assert "<svg" in vl_convert.vegalite_to_svg(chart.to_dict())


def decoded(page: str):
    """Palette indices, colours and opacities of the page's picture, by the PNG standard."""
    data = base64.b64decode(re.search(r"data:image/png;base64,([^\"]+)", page)[1])
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = [], 8
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        body, (check,) = data[at + 8 : at + 8 + size], struct.unpack(">I", data[at + 8 + size : at + 12 + size])
        assert check == zlib.crc32(name + body)
        chunks.append((name, body))
        at += 12 + size
    assert [name for name, _ in chunks] == [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"]
    parts = dict(chunks)
    width, height, *kind = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    assert kind == [8, 3, 0, 0, 0]
    lines = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()  # no filter
    return lines[:, 1:], np.frombuffer(parts[b"PLTE"], np.uint8).reshape(-1, 3), list(parts[b"tRNS"])


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (18, 2048), (32, 14336)])
def test_every_neuron_is_on_the_map(shape):
    rng = np.random.default_rng(1)
    active = rng.random((*shape, 3)) < 0.4
    score = np.zeros(shape)
    types = NeuronTypes(("en", "de", "zh"), 0.5, 0.1, 0.9, True, False, 0.5, score, rng.random(shape) < 0.5, active)
    page = charts.neuron_map(types)._repr_html_()
    at = {name: int(value) for name, value in re.findall(r'data-(\w+)="(\d+)"', page)}
    assert (at["layers"], at["width"]) == shape
    pixels, palette, opacity = decoded(page)
    assert pixels.shape == (at["layers"] * (at["rows"] + at["gap"]) - at["gap"], at["columns"])
    layer, neuron = np.indices(shape)
    rows = layer * (at["rows"] + at["gap"]) + neuron // at["columns"]
    assert np.array_equal(pixels[rows, neuron % at["columns"]], types.codes)
    rest = np.ones(pixels.shape, dtype=bool)
    rest[rows, neuron % at["columns"]] = False
    assert rest.sum() == pixels.size - types.codes.size and (pixels[rest] == 4).all()
    assert ["#" + bytes(row).hex() for row in palette[:4]] == [charts.KIND_COLORS[kind] for kind in KINDS]
    assert opacity[1:] == [255, 255, 255, 0] and 0 < opacity[0] < 80
    assert pixels.shape[1] * at["cell"] <= 720 and pixels.shape[0] * at["cell"] <= 710
    if shape[0] > 3:
        assert pixels.shape[1] * at["cell"] >= 650 and pixels.shape[0] * at["cell"] >= 500


def test_the_map_says_its_numbers_and_needs_nothing_else(types):
    page = charts.neuron_map(types).data
    alt_text = html.unescape(re.search(r'alt="([^"]+)"', page)[1])
    numbers = types.table()["kind"].value_counts()
    assert alt_text.startswith("All 420 neurons, 6 layers of 70")
    for kind in KINDS:
        assert f"{numbers[kind]} {kind}" in alt_text and f"{numbers[kind]} {kind}</span>" in page
    labels = re.findall(r'top:([\d.]+)%">(\d+)</span>', page)
    assert [int(label) for _, label in labels] == list(range(0, 6, int(labels[1][1])))
    assert page.startswith('<figure class="neuroglot-map"') and "image-rendering:pixelated" in page
    assert "<script" not in page and "http" not in page and "data-browser" not in page
    assert 'data-browser="a&amp;b.html"' in charts.neuron_map(types, browser="a&b.html").data
    assert page == charts.neuron_map(types).data


def test_the_map_carries_what_each_neuron_is(types):
    page = charts.neuron_map(types, browser="there.html").data
    said = dict(re.findall(r'data-(\w+)="([^"]*)"', page))
    assert json.loads(html.unescape(said["languages"])) == list(types.languages)
    data = np.frombuffer(zlib.decompress(base64.b64decode(said["neurons"])), dtype=np.uint8)
    codes, rest = np.split(data, [types.codes.size])
    assert np.array_equal(codes, types.codes.ravel())
    bits = np.unpackbits(rest.reshape(*types.codes.shape, -1), axis=-1, count=len(types.languages)).astype(bool)
    own = np.isin(types.kind, ["specific", "related"])
    assert own.any() and np.array_equal(bits[own], types.active[own]) and not bits[~own].any()


# --- the four parts' ends ----------------------------------------------------------------------


def test_layers_show_where_the_replicates_cut(stats, theme):
    profile = layer_profile(classify(stats, **SETTINGS))
    parts = four_parts(profile)
    plain = charts.layers(profile, None, parts).to_dict()
    ranges = pd.DataFrame({"part": layers.PARTS, "low": [0, 0.9, 2, 5], "high": [0, 2, 4.1, 5]})
    chart = charts.layers(profile, None, parts, ranges)
    spec = chart.to_dict()
    bars = [
        next(iter(spec["datasets"][layer["data"]["name"]]))
        for layer in spec["layer"]
        if layer["mark"]["type"] == "rule" and "x2" in layer["encoding"]
    ]
    assert [(bar["part"], bar["low_at"], bar["high_at"]) for bar in bars] == [
        ("reasoning", pytest.approx(0.4), 1.5),
        ("output transformation", 1.5, pytest.approx(3.6)),
    ]
    lines = next(layer for layer in spec["layer"] if layer["mark"].get("strokeDash"))
    assert [row["start"] for row in spec["datasets"][lines["data"]["name"]]] == (parts["first"][1:] - 0.5).tolist()
    names = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "text")
    assert names["name"] == "ink_parts"
    assert {row["part"] for row in spec["datasets"][names["data"]["name"]]} <= set(layers.PARTS)
    assert "<svg" in vl_convert.vegalite_to_svg(spec | {"width": 600})
    assert "rule" not in {layer["mark"]["type"] for layer in plain["layer"]}
    without = charts.layers(profile, None, None, ranges).to_dict()
    assert without["layer"] and without["title"] == charts.layers(profile).to_dict()["title"]
