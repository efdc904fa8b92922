"""Losses against the model's own logits and hand-changed weights, over all families; files that go on."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import processors

from neuroglot import Corpus, Example, Intervention, NeuroglotError, load_corpus, load_model, losses, perplexity
from neuroglot.base.parts import Parts
from neuroglot.base.uncertainty import jackknife, leave_one_out
from neuroglot.model import likelihood as module
from neuroglot.model.likelihood import Losses

from ..conftest import CONFIGS, byte_tokenizer, tiny_model, unsettled
from .test_interventions import NONE, OTHER, SOME, by_hand, hookless

QUIET = {"progress": False}


@pytest.fixture
def corpus():
    rows = [
        ("a", "en", "How many? ", "There are 12 in all."),
        ("b", "en", "And of those that are left over? ", "Four."),
        ("a", "de", "Wie viele? ", "Es sind zusammen 12, mehr nicht."),
        ("b", "de", "", "Nur vier sind übrig geblieben."),
        ("c", "de", "Und?", " Keine."),
    ]
    return Corpus("asked", ("en", "de"), tuple(Example(*row) for row in rows))


INTERVENTIONS = {
    "as it is": None,
    "some": Intervention(SOME, values=0.0),
    "none": Intervention(NONE, factor=2.0),
    "other": Intervention(OTHER, factor=-2.0),
}


def slowly(model, tokenizer, example):
    """The response's loss and tokens, from the whole logits of one text alone."""
    ids = tokenizer(example.prompt + example.response)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double()
    start = 1 + len(example.prompt.encode())  # a token is a byte, after <s>
    likely = logits.log_softmax(-1)
    return -sum(likely[t - 1, ids[t]].item() for t in range(start, len(ids))), len(ids) - start


@pytest.mark.parametrize("family", CONFIGS)
def test_losses_are_those_of_the_whole_logits(family, tokenizer, corpus):
    """Of every family, its scaled and capped heads too, with weights changed by hand."""
    model = tiny_model(family)
    found = losses(model, tokenizer, corpus, INTERVENTIONS, batch_tokens=150, **QUIET)
    assert found.rows == tuple(INTERVENTIONS) and found.units == ("a", "b", "c") and hookless(model)
    changed = {"as it is": model, "none": model}
    changed |= {"some": by_hand(model, SOME, 0.0), "other": by_hand(model, OTHER, -2.0)}
    near = 1e-9 if model.dtype == torch.float64 else 2e-5
    for row, name in enumerate(found.rows):
        for example in corpus.examples:
            nll, tokens = slowly(changed[name], tokenizer, example)
            cell = found.languages.index(example.language), found.units.index(example.document)
            assert found.nll[row][cell] == pytest.approx(nll, rel=near) and found.tokens[cell] == tokens
    assert found.tokens[0, 2] == 0 == found.nll[0, 0, 2]
    assert np.array_equal(found.nll[0], found.nll[2]) and not np.allclose(found.nll[0], found.nll[1])


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt2", "opt", "bloom", "mixtral"])
def test_only_the_response_is_changed(family, tokenizer, corpus):
    """Slowly: the whole text at once, and neurons changed by a hook that counts positions itself."""
    model = tiny_model(family)
    found = losses(model, tokenizer, corpus, INTERVENTIONS, positions="response", **QUIET)
    everywhere = losses(model, tokenizer, corpus, INTERVENTIONS, **QUIET)
    np.testing.assert_allclose(found.nll[0], everywhere.nll[0], rtol=1e-9)
    assert not np.allclose(found.nll[1], everywhere.nll[1])
    for example in corpus.examples:
        ids = torch.tensor([tokenizer(example.prompt + example.response)["input_ids"]])
        start = 1 + len(example.prompt.encode())
        plain, changed = model, by_hand(model, SOME, 0.0)
        with torch.no_grad():
            prompt = plain(ids[:, :start], use_cache=True)
            rest = changed(ids[:, start:], past_key_values=prompt.past_key_values, use_cache=True)
        likely = torch.cat([prompt.logits, rest.logits], 1)[0].double().log_softmax(-1)
        nll = -sum(likely[t - 1, ids[0, t]].item() for t in range(start, ids.shape[1]))
        cell = found.languages.index(example.language), found.units.index(example.document)
        assert found.nll[1][cell] == pytest.approx(nll, rel=1e-9)


@pytest.mark.parametrize("positions", ["all", "response"])
def test_training_mode_checkpoints_and_compiled_code_change_no_loss(positions, tokenizer, corpus):
    how = {"positions": positions, **QUIET}
    wanted = losses(tiny_model("gpt2"), tokenizer, corpus, INTERVENTIONS, **how)
    with unsettled(tiny_model("gpt2", resid_pdrop=0.5)) as model:
        found = losses(model, tokenizer, corpus, INTERVENTIONS, **how)
    assert np.array_equal(found.nll, wanted.nll)


def test_batches_do_not_matter(llama, tokenizer, corpus):
    one = losses(llama, tokenizer, corpus, INTERVENTIONS, batch_tokens=1, **QUIET)
    for size in (60, 333, 5000):
        other = losses(llama, tokenizer, corpus, INTERVENTIONS, batch_tokens=size, **QUIET)
        np.testing.assert_allclose(other.nll, one.nll, rtol=1e-10)


def test_texts_longer_than_the_context_are_scored_once(llama, tokenizer):
    corpus = Corpus(
        "t", ("en", "de"), (Example("1", "en", "", "Good day to you."), Example("1", "de", "Ja. ", "Ja. " * 30))
    )
    whole, split = (losses(llama, tokenizer, corpus, max_tokens=n, **QUIET) for n in (None, 24))
    assert whole.tokens.tolist() == split.tokens.tolist() == [[16], [120]] and split.nll[0, 1, 0] != whole.nll[0, 1, 0]


def test_rows_are_measured_where_they_are_asked_for(llama, tokenizer, corpus):
    whole = losses(llama, tokenizer, corpus, INTERVENTIONS, **QUIET)
    found = losses(llama, tokenizer, corpus, INTERVENTIONS, only={"some": ["de"]}, **QUIET)
    assert np.isnan(found.nll[1, 0]).all() and np.isnan(found.log_perplexity()[1, 0])
    np.testing.assert_allclose(found.nll[1, 1], whole.nll[1, 1], rtol=1e-10)
    np.testing.assert_allclose(found.nll[3], whole.nll[3], rtol=1e-10)


def test_the_same_change_is_run_once(llama, tokenizer, corpus, monkeypatch):
    tokens = []
    real = module.Head.log_likelihood
    monkeypatch.setattr(
        module.Head, "log_likelihood", lambda self, states, t: tokens.append(len(t)) or real(self, states, t)
    )
    twice = {
        "a": Intervention(SOME, values=0.0),
        "b": Intervention(SOME, values=0.0),
        "c": Intervention(NONE, factor=0.0),
    }
    found = losses(llama, tokenizer, corpus, twice, **QUIET)
    assert sum(tokens) == 2 * found.tokens.sum()
    assert np.array_equal(found.nll[0], found.nll[1]) and not np.allclose(found.nll[0], found.nll[2])


def test_perplexity_is_token_weighted_with_a_jackknife_over_wordings(llama, tokenizer, corpus):
    copies = [replace(e, id=f"{e.id}{n}", response=f"{e.response} {n * n}") for n in range(5) for e in corpus.examples]
    corpus = replace(corpus, examples=tuple(copies))
    table = perplexity(llama, tokenizer, corpus, **QUIET).set_index("language")
    for code in ("en", "de"):
        parts = np.array([slowly(llama, tokenizer, e) for e in corpus.examples if e.language == code])
        assert table.loc[code, "perplexity"] == pytest.approx(np.exp(parts[:, 0].sum() / parts[:, 1].sum()))
        assert table.loc[code, "tokens"] == parts[:, 1].sum() and table.loc[code, "documents"] == len(parts)
        without = leave_one_out(len(parts)) @ parts
        estimate = jackknife(np.log(table.loc[code, "perplexity"]), without[:, 0] / without[:, 1])
        assert table.loc[code, ["low", "high"]].tolist() == pytest.approx(list(np.exp(estimate.interval())))


def test_only_the_first_tokens_of_a_response_are_scored(llama, tokenizer, corpus):
    """They are as likely as in the whole response; one shorter than that is scored whole."""
    found = losses(llama, tokenizer, corpus, response_tokens=5, **QUIET)
    assert found.provenance["settings"]["response_tokens"] == 5
    cut = replace(
        corpus, examples=tuple(replace(e, response=e.response.encode()[:5].decode("ascii")) for e in corpus.examples)
    )
    np.testing.assert_allclose(found.nll, losses(llama, tokenizer, cut, **QUIET).nll)
    whole = losses(llama, tokenizer, corpus, response_tokens=10_000, **QUIET)
    np.testing.assert_array_equal(whole.nll, losses(llama, tokenizer, corpus, **QUIET).nll)
    with pytest.raises(NeuroglotError, match="response_tokens=0"):
        losses(llama, tokenizer, corpus, response_tokens=0)


def test_replicates_by_hand():
    nll = np.arange(12.0).reshape(2, 2, 3)
    nll[:, 1, 1] = 0  # where there is no token
    found = Losses(("x", "y"), ("en", "de"), ("a", "b", "c"), nll, np.array([[1, 2, 3], [4, 0, 6]]))
    weights = np.array([[1.0, 1, 1], [0, 3, 0], [2, 0, 1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = [[[(nll[r, k] @ w) / (found.tokens[k] @ w) for k in (0, 1)] for r in (0, 1)] for w in weights]
    np.testing.assert_array_equal(found.log_perplexity(weights), expected)
    np.testing.assert_array_equal(found.log_perplexity(), expected[0])


# --- the file ----------------------------------------------------------------------------------


def test_interrupted_runs_go_on_to_the_same_bytes(llama, tokenizer, corpus, tmp_path, monkeypatch):
    asked = (llama, tokenizer, corpus, INTERVENTIONS)
    plain, path = tmp_path / "plain", tmp_path / "losses"
    losses(*asked, plain, batch_tokens=60, **QUIET)
    real, calls = module._Run._score, []

    def breaks(self, run, *rest):
        if len(calls) in (2, 5):
            calls.append(None)
            raise KeyboardInterrupt
        calls.append(run)
        return real(self, run, *rest)

    monkeypatch.setattr(module._Run, "_score", breaks)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            losses(*asked, path, batch_tokens=60, **QUIET)
        assert not path.exists() and hookless(llama)
    damaged = tmp_path / "losses.parts" / "00001.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    losses(*asked, path, batch_tokens=60, **QUIET)
    made = [call for call in calls if call is not None]
    assert len(made) == len({(tuple(t.language for t in m.texts), m.changes, id(m.texts[0])) for m in made})
    assert path.read_bytes() == plain.read_bytes() and [p.name for p in tmp_path.iterdir() if "parts" in p.name] == []
    before = len(calls)
    again = losses(*asked, path, batch_tokens=60, **QUIET)
    assert len(calls) == before and np.array_equal(again.nll, Losses.load(path).nll)


def test_another_order_of_interventions_is_another_run(llama, tokenizer, corpus, tmp_path, monkeypatch):
    path, turned = tmp_path / "losses", dict(reversed(INTERVENTIONS.items()))
    expected = losses(llama, tokenizer, corpus, turned, batch_tokens=60, **QUIET)
    real, calls = module._Run._score, []

    def breaks(self, run, *rest):
        calls.append(run)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, run, *rest)

    monkeypatch.setattr(module._Run, "_score", breaks)
    with pytest.raises(KeyboardInterrupt):
        losses(llama, tokenizer, corpus, INTERVENTIONS, path, batch_tokens=60, **QUIET)
    found = losses(llama, tokenizer, corpus, turned, path, batch_tokens=60, **QUIET)
    assert found.rows == expected.rows and np.array_equal(found.nll, expected.nll)
    only = {name: {"de", "en"} for name in turned}
    with_sets = losses(llama, tokenizer, corpus, turned, only=only, **QUIET)
    assert set(map(tuple, with_sets.provenance["only"].values())) == {("en", "de")}


def test_a_finished_file_answers_in_any_order(llama, tokenizer, corpus, tmp_path, monkeypatch):
    path, turned = tmp_path / "losses", dict(reversed(INTERVENTIONS.items()))
    only = {name: ["de", "en"] for name in list(turned)[:1]}
    made = losses(llama, tokenizer, corpus, INTERVENTIONS, path, only=only, **QUIET)
    before = path.read_bytes()
    monkeypatch.setattr(module._Run, "_score", None)  # nothing is run
    found = losses(llama, tokenizer, corpus, turned, path, only=only, **QUIET)
    assert found.rows == tuple(turned) == made.rows[::-1] and path.read_bytes() == before
    assert np.array_equal(found.nll, made.nll[::-1], equal_nan=True)
    assert found.provenance["interventions"] == made.provenance["interventions"][::-1]
    for other in (dict(list(turned.items())[1:]), turned | {"another": None}):
        with pytest.raises(NeuroglotError, match="holds other losses"):
            losses(llama, tokenizer, corpus, other, path, **QUIET)


@pytest.mark.parametrize("positions", ["all", "response"])
def test_a_text_that_is_all_response_has_no_prompt_to_spare(llama, positions):
    bare = byte_tokenizer()
    bare._tokenizer.post_processor = processors.Sequence([])  # no beginning: the first token is the response's
    text = Corpus("t", ("en",), (Example("1", "en", "", "Good day."),))
    found = losses(llama, bare, text, INTERVENTIONS, positions=positions, **QUIET)
    assert found.tokens.tolist() == [[8]]
    everywhere = losses(llama, bare, text, INTERVENTIONS, **QUIET)
    assert np.array_equal(found.nll, everywhere.nll)


def test_parts_of_another_run_are_not_taken(llama, tokenizer, corpus, tmp_path):
    path, plain = tmp_path / "losses", tmp_path / "plain"
    losses(llama, tokenizer, corpus, INTERVENTIONS, plain, **QUIET)
    other = Parts(path, {"corpus": "another"})
    for number in range(9):
        other.keep(f"{number:05d}", {"nll": np.ones((3, 3))})
    losses(llama, tokenizer, corpus, INTERVENTIONS, path, **QUIET)
    assert path.read_bytes() == plain.read_bytes()


def test_files_of_something_else_are_refused(llama, tokenizer, corpus, tmp_path):
    path = tmp_path / "losses"
    losses(llama, tokenizer, corpus, INTERVENTIONS, path, **QUIET)
    kept = path.read_bytes()
    other = replace(corpus, examples=(*corpus.examples[:-1], Example("c", "de", "Und?", " Fast.")))
    changes = [
        ((corpus, INTERVENTIONS), {"positions": "response"}),
        ((other, INTERVENTIONS), {}),
        ((corpus, INTERVENTIONS | {"some": Intervention(OTHER, values=0.0)}), {}),
        ((corpus, {"as it is": None}), {}),
        ((corpus, INTERVENTIONS), {"only": {"some": ["de"]}}),
    ]
    for (text, asked), options in changes:
        with pytest.raises(NeuroglotError, match=r"holds other losses \((.+) differ\)"):
            losses(llama, tokenizer, text, asked, path, **options, **QUIET)
    changed = copy.deepcopy(llama)
    with torch.no_grad():
        changed.lm_head.weight[0, 0] += 1
    with pytest.raises(NeuroglotError, match="weights_sha256"):
        losses(changed, tokenizer, corpus, INTERVENTIONS, path, **QUIET)
    assert path.read_bytes() == kept
    losses(llama, tokenizer, other, INTERVENTIONS, path, overwrite=True, **QUIET)
    assert path.read_bytes() != kept
    path.write_bytes(kept[:200])
    with pytest.raises(NeuroglotError, match="cannot be read"):
        Losses.load(path)
    losses(llama, tokenizer, corpus, INTERVENTIONS, path, overwrite=True, **QUIET)
    assert path.read_bytes() == kept


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": "prompt"}, "positions='prompt'"),
        ({"batch_tokens": 0}, "batch_tokens=0"),
        ({"only": {"others": ["de"]}}, "no intervention 'others'"),
        ({"only": {"some": ["fr"]}}, "no language 'fr'"),
        ({"interventions": {}}, "no intervention to measure"),
        ({"interventions": {"x": Intervention(SOME[:2], values=0.0)}}, "neurons of 2 layers"),
    ],
)
def test_bad_requests_are_named(llama, tokenizer, corpus, options, message):
    with pytest.raises(NeuroglotError, match=message):
        losses(llama, tokenizer, corpus, **({"interventions": INTERVENTIONS} | options), **QUIET)


def test_questions_and_heads_that_are_not_known_are_refused(llama, tokenizer, corpus):
    with pytest.raises(NeuroglotError, match="for interventions use losses"):
        perplexity(llama, tokenizer, corpus, interventions=INTERVENTIONS)
    asked = Corpus("q", ("en", "de"), (Example("1", "en", "Why?", ""), Example("1", "de", "Warum?", "")))
    with pytest.raises(NeuroglotError, match="no responses to score"):
        perplexity(llama, tokenizer, asked, **QUIET)
    llama.lm_head.register_forward_hook(lambda _m, _a, output: output * 1.5)
    with pytest.raises(NeuroglotError, match="logits of LlamaForCausalLM are more than its head's output"):
        perplexity(llama, tokenizer, corpus, **QUIET)
    llama.lm_head = torch.nn.Sequential(llama.lm_head)
    with pytest.raises(NeuroglotError, match="no plain linear layer"):
        perplexity(llama, tokenizer, corpus, **QUIET)


def test_losses_that_are_no_numbers_are_refused(llama, tokenizer, corpus):
    with torch.no_grad():
        llama.model.embed_tokens.weight[tokenizer("4")["input_ids"][1]] = float("nan")
    with pytest.raises(NeuroglotError, match="not finite"):
        perplexity(llama, tokenizer, load_corpus("problems", "en de", n=3), **QUIET)


def test_weights_offloaded_to_disk_and_other_numbers(model_folder, tokenizer, corpus, tmp_path):
    whole, _ = load_model(str(model_folder))
    places = {"model.embed_tokens": "cpu", "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "disk"}
    places |= {"model.layers.0": "cpu", "model.layers.1": "disk", "model.layers.2": "cpu"}
    offloaded, _ = load_model(str(model_folder), device_map=places, offload_folder=str(tmp_path / "offload"))
    assert offloaded.lm_head.weight.device.type == "meta"
    one, two = (losses(model, tokenizer, corpus, INTERVENTIONS, **QUIET) for model in (whole, offloaded))
    assert np.array_equal(one.nll, two.nll) and one.provenance == two.provenance
    half, _ = load_model(str(model_folder), dtype="bfloat16")
    coarse = losses(half, tokenizer, corpus, INTERVENTIONS, **QUIET)
    np.testing.assert_allclose(coarse.nll, one.nll, rtol=0.05)
    assert not np.array_equal(coarse.nll, one.nll)
