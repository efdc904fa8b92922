"""What neurons write, against plain loops over neurons, words and texts."""

import numpy as np
import pandas as pd
import pytest
import torch

import neuroglot as ng
from neuroglot import Corpus, Example, NeuroglotError
from neuroglot.base.uncertainty import LESS, MORE, SAME
from neuroglot.effects import writing as room
from neuroglot.model.batches import tokenize

from ..conftest import TEXTS, byte_tokenizer, tiny_model
from ..made import types_of

LANGUAGES = ("en", "de", "ru")
WORDINGS = {code: [*texts, *(f"{texts[i - 1]} {texts[i]}" for i in range(4))] for code, texts in TEXTS.items()}
TEXT = Corpus("x", LANGUAGES, tuple(Example(str(i), c, "", t) for c in LANGUAGES for i, t in enumerate(WORDINGS[c])))


@pytest.fixture(scope="module", params=["llama", "gemma3_text"])
def made(request):
    """A model, its counts, types, means and what is written."""
    model, tokenizer = tiny_model(request.param), byte_tokenizer()
    stats = ng.collect(model, tokenizer, TEXT, progress=False)
    types = ng.classify(stats, top_rate=0.3, quantile=0.6, lam=0.05)
    means = ng.collect(model, tokenizer, TEXT, quantity="product", moments=True, progress=False)
    found = ng.writing(model, tokenizer, types, stats, TEXT, means=means, draws=5, checked=8)
    return model, tokenizer, stats, types, means, found


def states(model, ids, silent=None):
    """Before the head, what the final norm is given, and what each layer's norm is given, ``[tokens, size]``."""
    entered = {}
    norms = {
        layer: getattr(block, "post_feedforward_layernorm", None) for layer, block in enumerate(model.model.layers)
    }
    norms = {-1: model.model.norm} | {layer: norm for layer, norm in norms.items() if norm is not None}
    hooks = [
        norm.register_forward_pre_hook(lambda _module, args, layer=layer: entered.update({layer: args[0][0]}))
        for layer, norm in norms.items()
    ]
    with torch.no_grad(), ng.set_to(model, silent, 0.0) if silent else torch.no_grad():
        last = model.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    for hook in hooks:
        hook.remove()
    return last, entered


def rms(x):
    return x.square().mean(-1).sqrt()


def by_hand(made, code, neurons):
    """The logits that neurons add on a language's text, ``[vocabulary]``, neuron by neuron."""
    model, tokenizer, means = made[0], made[1], made[4]
    scale, tokens = np.zeros(len(model.model.layers)), 0
    for example, (ids, counted) in zip(TEXT.examples, tokenize(tokenizer, TEXT), strict=True):
        if example.language == code:
            _, entered = states(model, ids)
            keep, tokens = torch.tensor(counted), tokens + sum(counted)
            for layer in range(len(scale)):
                one = 1 / rms(entered[-1])
                one = one / rms(entered[layer]) if layer in entered else one
                scale[layer] += float(one[keep].sum())
    total = torch.zeros(32, dtype=torch.float64)
    one = 1 if "gemma" in model.config.model_type else 0
    for layer, block in enumerate(model.model.layers):
        for neuron in neurons[layer]:
            value = means.means()[layer, neuron, LANGUAGES.index(code)] * scale[layer] / tokens
            column = block.mlp.down_proj.weight[:, neuron].detach() * value
            if one:
                column = column * (1 + block.post_feedforward_layernorm.weight.detach())
            total += column * (one + model.model.norm.weight.detach())
    return (model.lm_head.weight.detach() @ total).numpy()


def own_tokens(tokenizer):
    """By language, how often each of its own tokens occurs."""
    times = {code: np.zeros(300) for code in LANGUAGES}
    for example, (ids, counted) in zip(TEXT.examples, tokenize(tokenizer, TEXT), strict=True):
        np.add.at(times[example.language], [i for i, keep in zip(ids, counted, strict=True) if keep], 1)
    rates = {code: each / each.sum() for code, each in times.items()}
    total = np.maximum(sum(rates.values()), 1e-9)
    return {code: np.where(rates[code] / total >= 0.95, times[code], 0) for code in LANGUAGES}


@pytest.mark.parametrize("code", LANGUAGES)
def test_numbers_by_hand(made, code):
    _, tokenizer, _, types, _, found = made
    times = own_tokens(tokenizer)
    for of, neurons in {"own": types.neurons(code), "all": [np.arange(48)] * 3}.items():
        logits = by_hand(made, code, neurons)
        mean = {c: np.average(logits, weights=times[c]) for c in LANGUAGES}
        difference = mean[code] - np.mean([mean[c] for c in LANGUAGES if c != code])
        row = found.numbers.query(f"language == '{code}' and of == '{of}'").iloc[0]
        assert row["logits"] == pytest.approx(difference, rel=1e-3)
        assert row["number"] == pytest.approx(difference / logits.std(), rel=1e-3)
        assert row["tokens"] == np.count_nonzero(times[code]) and 7 <= row["units"] <= 8
        assert row["low"] < row["number"] < row["high"]


def test_what_is_raised_most(made):
    model, tokenizer, stats, types, means, found = made
    logits = by_hand(made, "ru", types.neurons("ru"))
    texts = dict.fromkeys(tokenizer.decode([i]).strip() for i in np.argsort(-logits) if i not in (256, 257) and i < 258)
    own = found.tokens.query("language == 'ru'")
    assert own["token"].tolist() == [text for text in texts if text][:20]
    assert own["logits"].iloc[0] == pytest.approx(max(logits[:256]), rel=1e-3)
    neurons = np.argwhere(types.codes > 0)[:5]
    for row in ng.effects.writing.raised(model, tokenizer, stats, means, neurons, 3).itertuples():
        most = int(stats.probabilities()[row.layer, row.neuron].argmax())
        assert row.language == LANGUAGES[most]
        assert row.value == pytest.approx(means.means()[row.layer, row.neuron, most])
        only = [[row.neuron] if layer == row.layer else [] for layer in range(3)]
        logits = by_hand(made, row.language, only)[:256]
        texts = dict.fromkeys(tokenizer.decode([i]).strip() for i in np.argsort(-logits))
        assert row.tokens == [text for text in texts if text][:3]


def test_what_falls_is_what_removal_does(made):
    model, tokenizer, _, types, _, found = made
    times = own_tokens(tokenizer)
    words = np.flatnonzero(sum(times.values()))
    for code in LANGUAGES:
        fell, tokens = torch.zeros(300, dtype=torch.float64), 0
        for example, (ids, counted) in zip(TEXT.examples, tokenize(tokenizer, TEXT), strict=True):
            if example.language == code:
                (one, _), (other, _) = states(model, ids), states(model, ids, types.neurons(code))
                fell += (model.lm_head.weight @ (one - other)[torch.tensor(counted)].T).sum(1).detach()
                tokens += sum(counted)
        logits = (fell / tokens).numpy()
        mean = {c: np.average(logits, weights=times[c]) for c in LANGUAGES}
        row = found.check.set_index("language").loc[code]
        others = np.mean([mean[c] for c in LANGUAGES if c != code])
        assert row["fell"] == pytest.approx(mean[code] - others, rel=1e-3, abs=1e-6)
        predicted = by_hand(made, code, types.neurons(code))
        correlation = np.corrcoef(predicted[words], logits[words])[0, 1]
        assert row["correlation"] == pytest.approx(correlation, rel=1e-3)
        assert row["documents"] == 8 and row["low"] < row["fell"] < row["high"]
        said = found.numbers.query(f"language == '{code}' and of == 'own'").iloc[0]
        assert row["predicted"] == pytest.approx(said["logits"], rel=1e-6)


def test_layers_add_up_to_the_number(made):
    found = made[-1]
    own = found.numbers.query("of == 'own'")["number"].mean()
    assert found.layers["own"].sum() == pytest.approx(own)
    assert (found.layers["number"] - (found.layers["own"] - found.layers["matched"])).abs().max() < 1e-12
    assert found.layers["neurons"].sum() == pytest.approx(found.numbers.query("of == 'own'")["neurons"].mean())


def test_contrasts(made):
    found = made[-1]
    number = found.numbers.set_index(["language", "of"])["number"]
    contrast = found.contrasts.set_index(["language", "against"])
    for code in LANGUAGES:
        own = number[code, "own"] - number[code, "matched"]
        assert contrast["number"][code, "matched"] == pytest.approx(own)
    assert contrast.index.tolist() == [(c, a) for a in ("others", "matched") for c in LANGUAGES]
    assert set(contrast["verdict"]) <= {MORE, LESS, SAME} and (contrast["detectable"] > 0).all()
    assert 0 < found.dealt["p"][0] <= 1
    assert list(found.tables()) == ["numbers", "contrasts", "dealt", "layers", "tokens", "check"]


def test_other_text_has_rows_of_its_own(made):
    model, tokenizer, stats, types, means, found = made
    other = Corpus("y", LANGUAGES, tuple(Example(str(i), c, "", TEXTS[c][1]) for c in LANGUAGES for i in range(2)))
    both = ng.writing(model, tokenizer, types, stats, TEXT, [other], means=means, draws=5, checked=8)
    assert both.numbers["text"].unique().tolist() == ["all text", "x", "y"]
    ours, theirs = both.numbers.query("text == 'x'"), found.numbers
    pd.testing.assert_frame_equal(ours.reset_index(drop=True).assign(text="all text"), theirs)
    assert both.numbers.query("text == 'all text'")["units"].max() == 10
    few = both.numbers.query("text == 'y'")
    assert few["number"].notna().all() and few["low"].isna().all()  # two wordings give no interval


def test_own_tokens_and_directions():
    tokenizer = byte_tokenizer()
    texts = Corpus(
        "x", ("en", "de"), (Example("0", "en", "q", "aab"), Example("1", "en", "", "ab"), Example("0", "de", "", "cb"))
    )
    own = room.OwnTokens.of(tokenizer, [texts], ("en", "de"))
    a, c = (tokenizer(letter)["input_ids"][-1] for letter in "ac")
    assert [ids.tolist() for ids in own.ids] == [[a], [c]]
    assert [counts.tolist() for counts in own.counts] == [[[2], [1]], [[1], [0]]]
    assert own.present.tolist() == [[True, True], [True, False]]
    readout = ng.model.readout.Readout(tiny_model("llama"))
    rows = readout.embeddings([a, c]).double().numpy()
    directions = own.directions(readout)
    assert directions.shape == (3, 2, 32)
    np.testing.assert_allclose(directions[0], [rows[0] - rows[1], rows[1] - rows[0]])
    assert np.isnan(directions[1]).all()  # without the one wording in which the other language has any
    np.testing.assert_allclose(directions[2], directions[0])


@pytest.mark.parametrize(
    ("numbers", "first"),
    [([0.0, 0.04, 0.01, 0.95], 3), ([0.0, 0.04, 0.02, 0.94], 2), ([np.nan, 1.0], 1), ([0.5, 0.5], 0),
     ([-0.2, 0.1], None), ([0.0, np.nan], None), ([], None)],
)  # fmt: skip
def test_where_writing_begins(numbers, first):
    assert room.begins(pd.DataFrame({"layer": range(len(numbers)), "number": numbers}, dtype=float)) == first


def test_a_language_without_neurons(made):
    model, tokenizer, stats, _, means, _ = made
    row = ",".join(["en de", "de", *["-"] * 46])
    types = types_of("en de ru", row, row, row, provenance=stats.provenance)
    found = ng.writing(model, tokenizer, types, stats, TEXT, means=means, draws=2, checked=1)
    number = found.numbers.set_index(["language", "of"])["number"]
    assert np.isnan(number["ru", "own"]) and number["de", "own"] == number["de", "own"]
    assert set(found.tokens["language"]) == {"en", "de"}
    check = found.check.set_index("language")
    assert check["fell"]["ru"] == 0 and np.isnan(check["slope"]["ru"])


def test_what_does_not_fit_is_refused(made):
    model, tokenizer, stats, types, means, _ = made
    with pytest.raises(NeuroglotError, match="not of what enters the down projection"):
        ng.writing(model, tokenizer, types, stats, TEXT, means=stats)
    with pytest.raises(NeuroglotError, match="there is no language 'ru'"):
        ng.writing(model, tokenizer, types, stats, TEXT.only(["en", "de"]), means=means)
    with pytest.raises(NeuroglotError, match="draws=0"):
        ng.writing(model, tokenizer, types, stats, TEXT, means=means, draws=0)
    with pytest.raises(NeuroglotError, match="not of the same neurons"):
        room.mean_values(means, types_of("en de ru", "en,de"))
    with pytest.raises(NeuroglotError, match="Mixtral"):
        ng.writing(tiny_model("mixtral"), tokenizer, types, stats, TEXT, means=means)
