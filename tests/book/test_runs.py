"""Finished runs read together and set side by side."""

import json

import numpy as np
import pandas as pd
import pytest

from neuroglot import ActivationStats, NeuroglotError, classify
from neuroglot.base.tables import write_tables
from neuroglot.book import charts, runs
from neuroglot.book.describing import side_by_side
from neuroglot.neurons import layers


def finished(folder, depth, seed, shards=8, model="a"):
    rng = np.random.default_rng(seed)
    tokens = np.full((shards, 3), 50)
    p = rng.beta(0.3, 2, size=(depth, 30, 3))
    counts = rng.binomial(50, p, size=(shards, depth, 30, 3))
    stats = ActivationStats(counts, tokens, ("en", "de", "sw"), {"model": model, "corpus_sha256": str(seed)})
    types = classify(stats, top_rate=0.2, quantile=0.7, lam=0.1)
    stats.save(folder / "activations.safetensors")
    types.save(folder / "types.safetensors")
    write_tables(folder / "layers.json", layers.depth(stats, types, 5).tables())
    return types


@pytest.fixture
def two(tmp_path):
    return [finished(tmp_path / "one", 5, 1, model="a"), finished(tmp_path / "two", 9, 2, shards=1, model="b")]


def test_runs_of_other_depths_are_compared_in_relative_depth(tmp_path, two):
    found = runs.load_runs([tmp_path / "one", tmp_path / "two"])
    assert [run.name for run in found] == ["a", "b"]
    table = runs.side_by_side(found)
    assert table["neurons"].tolist() == [150, 270] and table["tokens"].tolist() == [1200, 150]
    for row, types in zip(table.itertuples(), two, strict=True):
        assert row.specific == (types.kind == "specific").mean() and row.general == (types.kind == "general").mean()
    profiles = runs.depth_profiles(found)
    for name, types in zip("ab", two, strict=True):
        mine = profiles[(profiles["run"] == name) & (profiles["kind"] == "related")]
        assert mine["depth"].tolist() == [i / (len(types.score) - 1) for i in range(len(types.score))]
        assert mine["neurons"].tolist() == (types.kind == "related").sum(1).tolist()
        assert np.allclose(mine["share"], (types.kind == "related").mean(1))
        own = profiles[profiles["run"] == name]
        assert all(own[end].dtype.kind == "f" for end in ("low", "high")), "numbers, where some are missing"
        assert own[["low", "high"]].isna().all(axis=None) == (name == "b")
    bands = found[0].layers["bands"]
    band = bands.dropna().iloc[0]
    own = profiles[(profiles["run"] == "a") & (profiles["layer"] == band["layer"])]
    row = own[own["kind"] == band["kind"]].iloc[0]
    assert (row["low"], row["high"]) == (band["low"] / 30, band["high"] / 30)
    languages = runs.language_shares(found)
    sw = languages[(languages["run"] == "b") & (languages["language"] == "sw") & (languages["kind"] == "related")]
    assert sw["share"].item() == ((two[1].kind == "related") & two[1].active[..., 2]).sum() / 270
    claims = runs.claims_table(found)
    said = {"more": "holds", "less": "the contrary does", "not told apart": "not told apart"}
    verdicts = found[0].layers["claims"]["verdict"]
    assert claims["a"].tolist() == [said.get(verdict, "not known") for verdict in verdicts]
    assert set(claims["a"]) & set(said.values()) and set(claims["b"]) == {"not known"}, "of one shard"
    for kind in ("specific", "related", "general"):
        spec = charts.depth(profiles, kind).to_dict()
        assert kind in spec["title"]["text"] and spec["description"]
    assert charts.languages_beside(languages).to_dict()["description"]


def test_what_is_read_off_runs(tmp_path, two):
    found = runs.load_runs([tmp_path / "one", tmp_path / "two"])
    peaks = runs.peaks(runs.depth_profiles(found)).set_index("run")
    for name, types in zip("ab", two, strict=True):
        language = np.isin(types.kind, ["specific", "related"]).mean(axis=1)
        general = (types.kind == "general").mean(axis=1)
        last = len(language) - 1
        assert peaks.loc[name].tolist() == pytest.approx(
            [language.argmax() / last, language.max(), general.argmax() / last, general.max()]
        )
    assert runs.comparable(found) == found and runs.of_one_text(found[:1]) and not runs.of_one_text(found)
    table = runs.in_words(runs.side_by_side(found)).set_index("what")
    assert list(table) == ["a", "b"] and table.loc["neurons"].tolist() == ["150", "270"]
    assert (
        table.loc["top_rate", "a"] == "20.0%" and table.loc["tokens", "a"] == "1,200" and table.loc["layers", "b"] == 9
    )
    described = side_by_side({run.name: run.stats for run in found}).set_index("what")
    assert described.loc["model"].tolist() == ["a", "b"] and described.loc["shards"].tolist() == ["8", "1"]


def test_runs_of_few_layers_have_no_claims(tmp_path, two):
    found = runs.load_runs([tmp_path / "one", tmp_path / "two"])
    found[0].layers["claims"] = found[0].layers["claims"][:0]  # fewer than four layers
    assert runs.comparable(found) == found[1:] and runs.claims_table([]).empty


def test_runs_are_correlated_over_the_languages_they_share():
    each = {
        "a": {"en": (1, 2), "de": (0, 1), "sw": (5, 0), "th": (9, 9)},
        "b": {"en": (1, 1), "de": (2, 1), "sw": (8, 0)},
    }
    rows = [
        {"run": run, "language": code, "kind": kind, "share": share}
        for run, shares in each.items()
        for code, pair in shares.items()
        for kind, share in zip(("specific", "related"), pair, strict=True)
    ]
    shares = pd.DataFrame(rows)
    found = runs.language_correlations(shares)  # ranks 2, 1, 3 and 1, 2, 3
    assert found.loc["a", "b"] == pytest.approx(0.5) and list(found) == list(found.index) == ["a", "b"]
    assert runs.language_correlations(shares[shares["run"] == "a"]).empty
    assert runs.language_correlations(shares[shares["language"] != "sw"]).empty


def test_runs_of_one_model_are_called_by_their_folders(tmp_path, two):
    finished(tmp_path / "three", 5, 3, model="a")
    found = runs.load_runs([tmp_path / "one", tmp_path / "three"])
    assert [run.name for run in found] == ["one", "three"]
    finished(tmp_path / "other" / "one", 5, 4, model="a")
    found = runs.load_runs([tmp_path / "one", tmp_path / "other" / "one"])
    assert [run.name for run in found] == [str(tmp_path / "one"), str(tmp_path / "other" / "one")]
    with pytest.raises(NeuroglotError, match="named twice"):
        runs.load_runs([tmp_path / "one", tmp_path / "one"])


def typed_on_a_part(folder, part):
    """The types of a part of the counts in the place of those of the whole."""
    stats = part(ActivationStats.load(folder / "activations.safetensors"))
    classify(stats, top_rate=0.2, quantile=0.7, lam=0.1).save(folder / "types.safetensors")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: (path / "layers.json").unlink(), r"no file .*layers\.json; run chapter 03"),
        (lambda path: (path / "layers.json").write_text("{"), r"layers\.json is not what chapter 03 writes"),
        (lambda path: (path / "layers.json").write_text("[]"), r"layers\.json is not what chapter 03 writes"),
        (lambda path: (path / "types.safetensors").unlink(), r"no file .*types\.safetensors"),
        (lambda path: (path / "types.safetensors").write_bytes(b"x"), r"types\.safetensors cannot be read"),
        (lambda path: finished(path / "x", 7, 5) and (path / "x/layers.json").replace(path / "layers.json"), "one run"),
        (lambda path: typed_on_a_part(path, lambda stats: stats.take([0, 2])), "one run"),
        (lambda path: typed_on_a_part(path, lambda stats: stats.merged([0, 0, 1])), "one run"),
    ],
)
def test_what_is_no_finished_run_is_named(tmp_path, two, harm, message):
    harm(tmp_path / "one")
    with pytest.raises(NeuroglotError, match=message):
        runs.load_runs([tmp_path / "one", tmp_path / "two"])


def test_no_run():
    with pytest.raises(NeuroglotError, match="at least one folder"):
        runs.load_runs([])


def test_tables_survive_the_file(tmp_path, two):
    written = json.loads((tmp_path / "one" / "layers.json").read_text())
    read = runs.load_runs([tmp_path / "one"])[0].layers
    assert len(written.pop("sha256")) == 64 and set(written) == set(read)
    for name, rows in written.items():
        pd.testing.assert_frame_equal(read[name], pd.DataFrame(rows))
