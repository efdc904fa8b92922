"""Attributions: the slope of the loss in every neuron's strength, and near what switching single neurons off does."""

import os
import signal

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from neuroglot import Attributions, Intervention, NeuroglotError, attributions, load_corpus, losses
from neuroglot.model import attribution

from ..conftest import CONFIGS, tiny_model, unsettled

EXPERTS = {"mixtral", "olmoe", "qwen3_moe"}


def one(layers, layer, neuron):
    return [np.array([neuron] if at == layer else [], dtype=int) for at in range(layers)]


def nats(model, tokenizer, corpus, changes):
    """What each change adds to each language's loss, nats per token ``[changes, languages]``."""
    found = losses(model, tokenizer, corpus, {"as it is": None, **changes}, progress=False).log_perplexity()
    return found[1:] - found[0]


@pytest.mark.parametrize("family", [family for family in CONFIGS if family not in EXPERTS | {"xglm"}])
def test_an_attribution_is_the_losses_slope(family, tokenizer, texts):
    model, corpus = tiny_model(family), load_corpus(f"text:{texts}")
    found = attributions(model, tokenizer, corpus, batch_tokens=100, progress=False)
    layers, width, _ = found.values.shape
    places = [(layer, neuron) for layer in range(layers) for neuron in (0, width - 1)]
    step = 0.03  # norms round to single precision
    changes = {
        f"{layer} {neuron} {sign}": Intervention(one(layers, layer, neuron), factor=1 + sign * step)
        for layer, neuron in places
        for sign in (-1, 1)
    }
    added = nats(model, tokenizer, corpus, changes).reshape(len(places), 2, -1)
    slopes = (added[:, 0] - added[:, 1]) / (2 * step)
    wanted = np.array([found.values[place] for place in places])
    largest = np.abs(wanted).max()
    np.testing.assert_allclose(wanted, slopes, rtol=0.01, atol=2e-5 + 0.02 * largest)
    assert largest > 5e-4


def test_it_is_near_what_switching_off_each_neuron_does(llama, tokenizer, texts):
    corpus = load_corpus(f"text:{texts}")
    found = attributions(llama, tokenizer, corpus, progress=False)
    layers, width, languages = found.values.shape
    places = list(np.ndindex(layers, width))
    changes = {f"{place}": Intervention(one(layers, *place), values=0.0) for place in places}
    added = nats(llama, tokenizer, corpus, changes)
    for k in range(languages):
        estimate = found.values[..., k].ravel()
        assert spearmanr(estimate, added[:, k]).statistic > 0.95
        large = np.abs(added[:, k]) > np.quantile(np.abs(added[:, k]), 0.5)
        assert (np.sign(estimate) == np.sign(added[:, k]))[large].mean() > 0.95


def test_batches_change_nothing_and_the_model_has_its_modes_again(llama, tokenizer, texts):
    corpus = load_corpus(f"text:{texts}")
    whole = attributions(llama, tokenizer, corpus, progress=False)
    with unsettled(llama):
        each = attributions(llama, tokenizer, corpus, batch_tokens=1, progress=False)
    np.testing.assert_allclose(whole.values, each.values, atol=1e-12)
    assert whole.tokens.tolist() == each.tokens.tolist()
    assert all(parameter.grad is None and parameter.requires_grad for parameter in llama.parameters())
    assert not torch.is_inference(next(llama.parameters()))


def test_more_positions_than_logits_at_once(llama, tokenizer, texts, monkeypatch):
    corpus = load_corpus(f"text:{texts}")
    whole = attributions(llama, tokenizer, corpus, progress=False)
    monkeypatch.setattr(attribution, "_POSITIONS", 5)
    np.testing.assert_allclose(whole.values, attributions(llama, tokenizer, corpus, progress=False).values, atol=1e-12)


def test_an_interrupted_run_goes_on_to_the_same_bytes(llama, tokenizer, texts, tmp_path, monkeypatch):
    corpus = load_corpus(f"text:{texts}")
    how = {"batch_tokens": 64, "progress": False}
    attributions(llama, tokenizer, corpus, tmp_path / "whole.safetensors", **how)
    of_batch, ran = attribution._of_batch, []

    def until(*of):
        ran.append(1)
        if len(ran) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return of_batch(*of)

    monkeypatch.setattr(attribution, "_of_batch", until)
    with pytest.raises(KeyboardInterrupt):
        attributions(llama, tokenizer, corpus, tmp_path / "begun.safetensors", **how)
    attributions(llama, tokenizer, corpus, tmp_path / "begun.safetensors", **how)
    whole = (tmp_path / "whole.safetensors").read_bytes()
    assert (tmp_path / "begun.safetensors").read_bytes() == whole
    ran.clear()
    again = attributions(llama, tokenizer, corpus, tmp_path / "begun.safetensors", **how)
    assert not ran and (again.values == Attributions.load(tmp_path / "whole.safetensors").values).all()


def test_what_cannot_be_attributed_is_said(llama, tokenizer, texts):
    corpus = load_corpus(f"text:{texts}")
    with pytest.raises(NeuroglotError, match="dense models"):
        attributions(tiny_model("mixtral"), tokenizer, corpus, progress=False)
    with pytest.raises(NeuroglotError, match="batch_tokens"):
        attributions(llama, tokenizer, corpus, batch_tokens=0, progress=False)
    with torch.no_grad():
        llama.model.layers[1].mlp.down_proj.weight.fill_(float("nan"))
    with pytest.raises(NeuroglotError, match=r"not finite|more than its head"):
        attributions(llama, tokenizer, corpus, progress=False)


@pytest.mark.parametrize(
    ("values", "tokens", "said"),
    [
        (np.zeros((2, 3, 2)), np.array([1, 2, 3]), "tokens"),
        (np.full((2, 3, 2), np.nan), np.array([1, 2]), "finite"),
        (np.zeros((2, 3, 2)), np.array([1.0, 2.0]), "languages"),
        (np.zeros((2, 3, 2)), np.array([-1, 2]), "negative"),
    ],
)
def test_what_does_not_fit_is_refused(values, tokens, said):
    with pytest.raises(NeuroglotError, match=said):
        Attributions(values, tokens, ("en", "de"))


def test_one_language_from_other_text(llama, tokenizer, texts):
    corpus = load_corpus(f"text:{texts}")
    mine = attributions(llama, tokenizer, corpus, progress=False)
    theirs = attributions(llama, tokenizer, corpus.only(["ru", "de"]).spread(2), progress=False)
    made = mine.with_language("ru", theirs)
    at, kept = corpus.languages.index("ru"), [k for k, code in enumerate(corpus.languages) if code != "ru"]
    np.testing.assert_array_equal(made.values[..., at], theirs.values[..., 0])
    np.testing.assert_array_equal(made.values[..., kept], mine.values[..., kept])
    assert (
        made.tokens[at] == theirs.tokens[0] != mine.tokens[at]
        and made.tokens[kept].tolist() == mine.tokens[kept].tolist()
    )
    assert made.provenance["replaced"] == {"ru": theirs.provenance["input_sha256"]}
    with pytest.raises(NeuroglotError, match="no language 'en' in both"):
        mine.with_language("en", theirs)
    other = Attributions(theirs.values[:1], theirs.tokens, theirs.languages, theirs.provenance)
    with pytest.raises(NeuroglotError, match="other languages, models or settings"):
        mine.with_language("ru", other)
