"""Layers of different width: what is computed is of the neurons alone, whatever places there are beside them."""

import io
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroglot import (
    ActivationStats,
    NeuroglotError,
    NeuronBrowser,
    ThresholdExplorer,
    classify,
    detect,
    layer_profile,
    overlap,
    read_neurons,
    write_neurons,
)
from neuroglot.alignment.comparison import statistics, transitions
from neuroglot.book.charts.neuron_map import neuron_map
from neuroglot.book.findings import identification as said
from neuroglot.book.findings import introduction
from neuroglot.book.lookup import Said
from neuroglot.book.packing import classify_packed, pack
from neuroglot.counts.gathering import BINS, Gathered
from neuroglot.counts.halves import compare_halves, mean_probabilities
from neuroglot.counts.reading import write_counts
from neuroglot.effects.playing import BOTH as BOTH_SETS
from neuroglot.effects.playing import OFF, Setting, changes
from neuroglot.effects.removals import SETS, doses, match_report, of_others, removals
from neuroglot.effects.steering import driving, steerings
from neuroglot.model.attribution import Attributions
from neuroglot.neurons.agreement import agreement, agreement_by_layer, by_layer
from neuroglot.neurons.contexts import chosen_neurons
from neuroglot.neurons.detection import Detection
from neuroglot.neurons.examples import clearest, lowest, typical
from neuroglot.neurons.identification import NeuronTypes, keep_thresholds
from neuroglot.neurons.sets import NeuronSet, in_place_of
from neuroglot.neurons.sharing import sets, similarity
from neuroglot.neurons.specificity import specificity

from .. import ragged as made

SEEDS = st.integers(0, 10**6)
RATES = {"top_rate": 0.2, "quantile": 0.8, "min_tokens": 20}
FEW = settings(max_examples=15, deadline=None)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def attributions(stats, seed):
    rng = np.random.default_rng(seed)
    values = np.full(stats.shape, 9.0)  # whatever stands where there is no neuron
    values[stats.real] = rng.normal(size=(stats.n_neurons, stats.shape[2]))
    return Attributions(values, stats.tokens, stats.languages, {})


def gathered(stats, seed):
    """The statistics with what other detectors read: of neurons the same in any layers, of other places zeros."""
    rng, (layers, width, k) = np.random.default_rng(seed), stats.shape
    of = np.arange(9) % k
    whole = np.zeros((*stats.shape, BINS), dtype=np.int64)
    whole[..., BINS // 2] = stats.tokens
    shares = rng.dirichlet(np.ones(5), stats.n_neurons)
    whole[stats.real] = 0
    for language, tokens in enumerate(stats.tokens):
        some = np.zeros((stats.n_neurons, BINS), dtype=np.int64)
        some[:, 38:43] = rng.multinomial(tokens, shares)
        whole[stats.real, language] = some
    texts = {}
    for name in ("maxima", "absolute"):
        values = np.zeros((layers, width, len(of)), dtype=np.float32)
        values[stats.real] = abs(rng.normal(size=(stats.n_neurons, len(of)))) - (name == "maxima")
        texts[name] = values.transpose(0, 2, 1)
    return replace(stats, gathered=Gathered(whole, **texts, text_languages=of, text_shards=np.zeros_like(of)))


def detected(stats, seed):
    slopes, stats = attributions(stats, seed), gathered(stats, seed)
    given_ = {"lape": {"top_rate": 0.2}, "mean-difference": {"top_rate": 0.1}, "lambda-score": RATES}
    given_ |= {"attribution": {"attributions": slopes, "top_rate": 0.15}, "lambda": {"lam": 0.3}}
    given_ |= {
        "average-precision": {"number": 9},
        "plnd": {"top_rate": 0.3, "share": 0.5},
        "overlap": {"bottom_rate": 0.2},
    }
    given_ |= {"percentile": {"top_rate": 0.1}}
    return {name: detect(stats, name, **own) for name, own in given_.items()}


@FEW
@given(seed=SEEDS)
def test_types_and_detections_are_those_of_the_same_neurons_in_a_row(seed):
    stats = made.ragged(seed)
    row, real = made.in_a_row(stats), stats.real
    assert stats.n_neurons == row.n_neurons == real.sum() and not stats.counts[~real].any()
    types, flat = (classify(each, **RATES, lam=0.2) for each in (stats, row))
    for detector, activity in (("lambda-score", "tau"), ("lape", "tau"), ("lape", "detector")):
        if detector != "lambda-score":
            types, flat = (classify(each, **RATES, detector=detector, activity=activity) for each in (stats, row))
        assert types.tau == flat.tau and types.n_starved == flat.n_starved and types.n_neurons == stats.n_neurons
        for name in ("score", "selected", "active", "codes"):
            assert np.array_equal(getattr(types, name)[real], getattr(flat, name)[0]), name
        assert not types.selected[~real].any() and not types.active[~real].any()
        assert types.sizes() == flat.sizes() and sum(types.sizes().values()) == stats.n_neurons
        assert types.counts_per_n().equals(flat.counts_per_n())
        assert types.counts_per_language().equals(flat.counts_per_language())
        assert types.table().drop(columns=["layer", "neuron"]).equals(flat.table().drop(columns=["layer", "neuron"]))
        assert types.table()[["layer", "neuron"]].to_numpy().tolist() == np.argwhere(real).tolist()
    one, other = detected(stats, seed), detected(row, seed)
    for name, found in one.items():
        theirs = other[name]
        assert np.array_equal(found.score[real], theirs.score[0], equal_nan=True), name
        assert np.isnan(found.score[~real]).all() and not found.selected[~real].any()
        assert np.array_equal(found.selected[real], theirs.selected[0]), name
        assert np.array_equal(found.ranks()[real], theirs.ranks()[0])
        assert np.array_equal(found.take(7).selected[real], theirs.take(7).selected[0])
        assert found.sizes() == theirs.sizes()
    assert np.allclose(mean_probabilities(stats), mean_probabilities(row), rtol=1e-12)
    halves, theirs = compare_halves(stats), compare_halves(row)
    assert np.allclose([halves.apart, halves.expected], [theirs.apart, theirs.expected], rtol=1e-12)


@FEW
@given(seed=SEEDS)
def test_lambda_is_solved_over_the_neurons_alone(seed):
    stats = made.ragged(seed)
    try:
        flat = classify(made.in_a_row(stats), **RATES)
    except NeuroglotError:
        with pytest.raises(NeuroglotError, match="no lambda"):
            classify(stats, **RATES)
        return
    types = classify(stats, **RATES)
    assert types.lam == flat.lam and np.array_equal(types.selected[stats.real], flat.selected[0])


@FEW
@given(seed=SEEDS, matched=st.sampled_from(["layer", "firing rate"]))
def test_only_neurons_are_drawn(seed, matched):
    stats = made.ragged(seed)
    types = classify(stats, **RATES, lam=0.2)
    some = removals(types, draws=3, matched=matched, stats=stats, seed=seed) + of_others(types, draws=2, seed=seed)
    some += doses(types, draws=2, seed=seed) + doses(types, draws=2, stats=stats, seed=seed)
    found = detect(stats, "random", like=types, matched=None if matched == "layer" else matched, seed=seed)
    for index in [removal.neurons for removal in some] + [found.neurons(code) for code in found.languages]:
        assert all(len(own) == 0 or own.max() < n for own, n in zip(index, stats.layer_widths, strict=True))
    drawn = [removal for removal in some if removal.order == "random" and removal.dose == 1]
    for removal in drawn:  # by layer alone none is short
        own = next(
            r for r in some if (r.set, r.language, r.order, r.dose) == (removal.set, removal.language, "score", 1)
        )
        assert list(map(len, removal.neurons)) == list(map(len, own.neurons))
    report = match_report(removals(types, draws=2, matched="firing rate", stats=stats), types, stats)
    assert report.loc[report["neurons"] > report["short"], "drawn_rate"].notna().all()
    way = steerings("en", ["de", "ru"], {"amplify": [2.0], "set": [1.0]}, draws=2)
    for counts in (None, stats):
        for each in driving(types, way, stats.means(), stats=counts, seed=seed).values():
            index = () if each is None else zip(each.neurons, stats.layer_widths, strict=True)
            assert all(len(own) == 0 or own.max() < n for own, n in index)


@FEW
@given(seed=SEEDS)
def test_each_layer_has_its_own_share(seed):
    stats = made.ragged(seed)
    types = classify(stats, **RATES, lam=0.2)
    profile = layer_profile(types).set_index(["layer", "kind"])
    table = types.table()
    for layer, width in enumerate(stats.layer_widths):
        for kind in ("specific", "related", "general"):
            number = int(((table["layer"] == layer) & (table["kind"] == kind)).sum())
            assert profile.loc[(layer, kind), "neurons"] == number
            assert profile.loc[(layer, kind), "share"] == (number / width if width else 0)
    other = classify(stats.merged([0, 1]), **RATES, lam=0.2)
    both = overlap(types, other).set_index("kind")
    for kind in ("specific", "related", "general"):
        a, b = (one.table()["kind"].to_numpy() == kind for one in (types, other))
        where = table["layer"].to_numpy()
        expected = sum(a[where == i].sum() * b[where == i].sum() / n for i, n in enumerate(stats.layer_widths) if n)
        total = a.sum() + b.sum()
        assert both.loc[kind, "both"] == (a & b).sum()
        assert not total or both.loc[kind, "chance"] == pytest.approx(expected / (total - expected))
    moved = transitions(types, other)
    assert moved["neurons"].sum() == stats.n_neurons
    again = keep_thresholds(types, stats)
    assert np.array_equal(again.codes, types.codes) and np.array_equal(again.layer_widths, types.layer_widths)


def everything(stats: ActivationStats, seed: int) -> dict[str, object]:
    """What is computed of counts, as far as it does not say how many places there are."""
    width = int(stats.layer_widths.max())
    types = classify(stats, **RATES)
    found = detected(stats, seed)
    found |= {"random": detect(stats, "random", like=types, seed=seed)}
    found |= {"any": detect(stats, "random", like=types, matched=None, seed=seed)}
    result: dict[str, object] = {"lam": types.lam, "tau": types.tau, "table": types.table(), "sizes": types.sizes()}
    result |= {name: [one.score[:, :width], one.selected[:, :width]] for name, one in found.items()}
    result |= {f"{name} taken": one.take(9).table() for name, one in found.items()}
    result |= {f"types by {name}": classify(stats, **RATES, detector=one).table() for name, one in found.items()
               if name not in ("random", "any", "lambda-score")}  # fmt: skip
    result["profile"], result["statistics"] = layer_profile(types), statistics(types)
    drawn = removals(types, draws=2, seed=seed) + of_others(types, seed=seed)
    matched = removals(types, draws=2, matched="firing rate", stats=stats, seed=seed)
    drawn += matched + doses(types, seed=seed) + doses(types, stats=stats, seed=seed)
    result["drawn"] = [[removal.name, *removal.neurons] for removal in drawn]
    result["matched"] = match_report(matched, types, stats)
    way = steerings("en", ["de", "ru"], {"amplify": [2.0], "set": [1.0]}, draws=2)
    done = [driving(types, way, stats.means(), stats=counts, seed=seed) for counts in (None, stats)]
    code = max(types.languages, key=lambda code: sum(map(len, types.neurons(code))))
    setting = Setting("x", code, BOTH_SETS, OFF, 1.0, 3)
    done += [changes(types, setting, stats=counts, seed=seed) for counts in (None, stats)]
    result["changed"] = [[name, *(each.neurons if each else ())] for one in done for name, each in one.items()]
    result["values"] = [
        [np.asarray(each._given)[layer][index] for layer, index in enumerate(each.neurons)]
        for one in done[:2] for each in one.values() if each is not None
    ]  # fmt: skip
    pairs = {"lape": found["lape"].take(9), "mean": found["mean-difference"].take(9)}
    result["agree"] = [agree(pairs, stats.layer_widths) for agree in (agreement, agreement_by_layer, by_layer)]
    result["shared"] = [sets(types), similarity(types)]
    result["specificity"] = specificity(stats, types, splits=2)
    result["chosen"] = chosen_neurons(types, stats, general=5)
    result["examples"] = [lowest(types), *(each(types, stats, "specific") for each in (clearest, typical))]
    for limit in (None, 2500):
        packed, _ = pack(stats, limit)
        thresholds = {"top_rate": 0.2, "lam": 0.3, "quantile": 0.8, "scaled": True}
        result[f"packed {limit}"] = [
            packed.roots,
            packed.scales,
            packed.error(stats),
            packed.probabilities()[:, :width],
        ]
        result[f"page {limit}"] = classify_packed(packed, **thresholds)[:, :width]
    looked = Said.read(found, 5)
    result["looked up"] = [looked.agreed(), looked.of(1, 3), looked.scored]
    result["halves"] = vars(compare_halves(stats))
    result["map"] = neuron_map(types).data.partition(' alt="')[2].partition('"')[0]
    result["says"] = [said.opening(types, result["specificity"]), introduction.summary(types)]
    result["described"] = stats.describe()["value"].tolist()
    return result


def same(one, other, where=""):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name, each in one.items():
            same(each, other[name], f"{where} {name}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for each, its in zip(one, other, strict=True):
            same(each, its, where)
    elif isinstance(one, pd.DataFrame | pd.Series):
        assert one.equals(other), where
    elif isinstance(one, np.ndarray):
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f"), where
    else:
        assert one == other or (one != one and other != other), where


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, more=st.integers(1, 40))
def test_places_that_are_no_neurons_change_nothing(seed, more):
    stats = made.rectangular(seed)
    wider = made.padded(stats, more)
    assert wider.shape[1] == stats.shape[1] + more and wider.n_neurons == stats.n_neurons
    try:
        plain = everything(stats, seed)
    except NeuroglotError as error:
        with pytest.raises(NeuroglotError) as refused:
            everything(wider, seed)
        assert str(refused.value) == str(error)
        return
    same(plain, everything(wider, seed))


def test_files_keep_the_widths(tmp_path):
    stats = made.ragged(1)
    types, path = classify(stats, **RATES, lam=0.2), tmp_path / "a.safetensors"
    found = detect(stats, "lape", top_rate=0.2)
    for one, load in ((stats, ActivationStats.load), (types, NeuronTypes.load), (found, Detection.load)):
        one.save(path)
        again = load(path)
        assert np.array_equal(again.layer_widths, stats.layer_widths) and again.n_neurons == stats.n_neurons
        written = path.read_bytes()
        again.save(path)
        assert path.read_bytes() == written
    write_neurons(path, types)
    neurons = read_neurons(path)
    assert neurons.width == tuple(stats.layer_widths.tolist()) and neurons.table().equals(NeuronSet.of(types).table())
    assert f"x 0 to {stats.shape[1]}" in str(neurons.describe()["value"].tolist())
    same_ = in_place_of(types, path)
    assert all(np.array_equal(a, b) for a, b in zip(same_.neurons("de"), types.neurons("de"), strict=True))
    write_neurons(tmp_path / "a.csv", types)
    assert read_neurons(tmp_path / "a.csv", types.languages).fitted(5, stats.layer_widths).width == neurons.width
    wrong = stats.layer_widths.copy()
    wrong[wrong.argmax()] += 1
    with pytest.raises(NeuroglotError, match=f"0 to {wrong.max()}; give neurons of this model"):
        neurons.fitted(5, wrong)
    empty = int(np.flatnonzero(stats.layer_widths == 0)[0])
    index = [[0] if layer == empty else [] for layer in range(5)]
    with pytest.raises(NeuroglotError, match="no neurons in this layer"):
        NeuronSet(("en",), (index,), layers=5, width=neurons.width)
    with pytest.raises(NeuroglotError, match="layers differ in width"):
        write_counts(tmp_path / "a.parquet", made.padded(made.rectangular(0), 3))


def test_counts_of_other_widths_are_not_of_the_same_neurons():
    stats = made.rectangular(0)
    wider = made.padded(stats, 3)
    types = classify(stats, **RATES, lam=0.2)
    for refused in (
        lambda: keep_thresholds(types, wider),
        lambda: overlap(types, classify(wider, **RATES, lam=0.2)),
        lambda: chosen_neurons(types, wider),
        lambda: removals(types, draws=1, matched="firing rate", stats=wider),
        lambda: NeuronBrowser(wider, types),
        lambda: stats.joined(wider),
    ):
        with pytest.raises(NeuroglotError):
            refused()


@pytest.mark.parametrize("which", ["score", "selected", "moments"])
def test_nothing_stands_where_there_is_no_neuron(which):
    stats = made.ragged(2)
    nowhere = tuple(np.argwhere(~stats.real)[0])
    if which == "moments":
        stats.sums[nowhere] = 1
        with pytest.raises(NeuroglotError, match="where a layer has no neuron"):
            ActivationStats(**{name: getattr(stats, name) for name in stats.__dataclass_fields__})
        return
    types, found = classify(stats, **RATES, lam=0.2), detect(stats, "lape")
    with pytest.raises(NeuroglotError, match="where a layer has no neuron"):
        if which == "selected":
            types.selected[nowhere] = True
            NeuronTypes(**{name: getattr(types, name) for name in types.__dataclass_fields__})
        else:
            found.score[nowhere] = 1.0
            Detection(**{name: getattr(found, name) for name in found.__dataclass_fields__})


def test_widgets_know_which_neurons_there_are():
    stats = made.ragged(3)
    types = classify(stats, **RATES, lam=0.2)
    browser = NeuronBrowser(stats, types)
    empty = int(np.flatnonzero(stats.layer_widths == 0)[0])
    short = int(np.flatnonzero((stats.layer_widths > 0) & (stats.layer_widths < stats.shape[1]))[0])
    with pytest.raises(NeuroglotError, match="this layer has no neurons"):
        browser.layer = empty
    with pytest.raises(NeuroglotError, match="there is no neuron"):
        NeuronBrowser(stats, types, layer=short, neuron=int(stats.layer_widths[short]))
    with pytest.raises(NeuroglotError, match="there is no neuron"):
        browser.take(pd.DataFrame({"layer": [short], "neuron": [int(stats.layer_widths[short])]}))
    explorer = ThresholdExplorer(stats, **{name: RATES[name] for name in ("top_rate", "quantile")}, lam=0.2)
    assert explorer.types.n_neurons == stats.n_neurons and explorer.types.sizes().keys() == types.sizes().keys()
    assert f"All {stats.n_neurons} neurons, 5 layers of 0 to {stats.shape[1]}" in neuron_map(types).data
    assert io.StringIO(explorer.html()).read().count('"widths":') == 1
    assert set(SETS) and types.real.sum() == stats.n_neurons
