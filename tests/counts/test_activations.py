"""Counts as an artefact: selecting, resampling, files that are refused."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import neuroglot
from neuroglot import ActivationStats, NeuroglotError, collect, load_corpus
from neuroglot.base.artifacts import save_artifact


@pytest.fixture
def saved(llama, tokenizer, texts, tmp_path):
    path = tmp_path / "s.safetensors"
    collect(llama, tokenizer, load_corpus(f"text:{texts}"), path, progress=False)
    return path


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_file_is_refused(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(NeuroglotError, match="truncated"):
        ActivationStats.load(saved)


def rewrite(path, **changes):
    arrays = load_file(path)
    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["neuroglot"])
    for name, change in changes.items():
        if name in arrays:
            arrays[name] = change(arrays[name])
        else:
            header[name] = change(header.get(name))
    del header["sha256"]
    save_artifact(path, header.pop("kind"), arrays, header)  # whole, though it holds something else


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": lambda v: v + 1}, "format version 3"),
        ({"kind": lambda _: "types"}, "holds types, not activations"),
        ({"languages": lambda names: names[:2]}, "3 languages but 2"),
        ({"languages": lambda _: None}, "list of different languages"),
        ({"shard_tokens": lambda t: t[:-1]}, "do not fit"),
        ({"shard_tokens": lambda t: t // 9}, "exceed"),
        ({"shard_counts": lambda c: c[..., 0]}, "do not fit"),
        ({"shard_counts": lambda c: c.astype(np.float32)}, "integers"),
        ({"shard_counts": lambda c: -c.astype(np.int64) - 1}, "negative"),
    ],
)
def test_wrong_file_is_refused_by_name(saved, changes, message):
    rewrite(saved, **changes)
    with pytest.raises(NeuroglotError, match=message) as caught:
        ActivationStats.load(saved)
    assert "s.safetensors" in str(caught.value)


def test_foreign_and_missing_files_are_refused(tmp_path):
    save_file({"x": np.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(NeuroglotError, match="foreign"):
        ActivationStats.load(tmp_path / "x.safetensors")
    with pytest.raises(NeuroglotError, match="there is no file"):
        ActivationStats.load(tmp_path / "nothing.safetensors")


def test_select_take_and_resample(saved):
    stats = ActivationStats.load(saved)
    two = stats.select("ru en")
    assert two.languages == ("ru", "en")
    assert np.array_equal(two.counts, stats.counts[..., [stats.languages.index("ru"), stats.languages.index("en")]])
    with pytest.raises(NeuroglotError, match="no language 'xx'"):
        stats.select("en xx")
    halves = [stats.take(range(i, 4, 2)) for i in (0, 1)]
    assert np.array_equal(halves[0].counts + halves[1].counts, stats.counts)
    with pytest.raises(NeuroglotError, match="counted from 0"):
        stats.take([9])
    twice = stats.merged([1, 3, 1])
    assert np.array_equal(twice.counts, stats.shard_counts[[1, 3, 1]].sum(0, dtype=np.int64))
    assert twice.tokens.tolist() == (2 * stats.shard_tokens[1] + stats.shard_tokens[3]).tolist()


def test_parts_say_what_they_are(saved, tmp_path):
    stats = ActivationStats.load(saved)
    whole = stats.provenance
    assert not {"selected_languages", "selected_shards", "merged_shards"} & whole.keys()
    half = stats.take(np.array([1, 3]))
    assert half.provenance == whole | {"selected_shards": [1, 3]}
    assert half.take([1]).provenance == whole | {"selected_shards": [3]}
    twice = half.merged(np.array([1, 1, 0]))
    assert twice.provenance == whole | {"merged_shards": [3, 3, 1]}
    assert twice.take([0]).provenance == twice.provenance
    assert twice.merged([0, 0]).provenance["merged_shards"] == [3, 3, 1] * 2
    two = stats.select("ru en").merged([3, 1, 1])
    assert two.provenance == whole | {"selected_languages": ["ru", "en"], "merged_shards": [3, 1, 1]}
    # What is made of them inherits it, and they can be saved.
    types = neuroglot.classify(two, top_rate=0.5, quantile=0.5, lam=0.1)
    assert types.provenance == two.provenance
    two.save(tmp_path / "two.safetensors")
    assert ActivationStats.load(tmp_path / "two.safetensors").provenance == two.provenance


def test_a_language_without_tokens_has_no_probabilities():
    stats = ActivationStats(np.zeros((1, 1, 2, 2), int), np.array([[5, 0]]), ("en", "fr"))
    with pytest.raises(NeuroglotError, match="no token of fr"):
        stats.probabilities()
