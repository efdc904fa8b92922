"""Scores against plain arithmetic on whole logits, and scorers that do not fit."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    NllbTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
    set_seed,
)

from neuroglot import Example, NeuroglotError
from neuroglot.alignment.scorers import Exact, GivenReference, Translation, named

from ..conftest import tiny_model

REFERENCE = Example("q", "en", "How many?\n", "3 + 4 = 7.\nThere are 7.", "7")


def responses(*texts, language="de"):
    return [Example(f"q#{n}", language, "Wie viele?\n", text, "7") for n, text in enumerate(texts, 1)]


def test_exact_counts_what_holds():
    given = responses(
        "Wir rechnen 3 + 4 = 7.\nEs sind zusammen 7 Äpfel.",
        "Wir rechnen 3 + 4 = 8.\nEs sind zusammen 7 Äpfel.",
        "Wir rechnen 3 + 4 = 7.\nEs sind zusammen 9 Äpfel.",
        "We add the numbers 3 + 4 = 7.\nThere are 7 apples on the table.",
        "We say 1 + 1 = 2 and 2 + 2 = 5.\nThere are nine apples, or 9.",
    )
    assert Exact()(given, [REFERENCE] * 5).tolist() == [3, 2, 2, 2, 0.5]
    with pytest.raises(NeuroglotError, match="there is no answer to score with"):
        Exact()([Example("q", "de", "?", "7")], [REFERENCE])


def test_given_the_reference_is_the_mean_of_the_whole_logits(llama, tokenizer, tmp_path):
    given = responses("7", "Es sind 7.", "Nein.") + responses("Их 7.", language="ru")
    scorer = GivenReference(llama, tokenizer, tmp_path / "losses.safetensors", progress=False)
    scores = scorer(given, [REFERENCE] * 4)
    for example, score in zip(given, scores, strict=True):
        context = f"{REFERENCE.prompt}{REFERENCE.response}\n\n{example.prompt}"
        ids = torch.tensor([tokenizer(context + example.response)["input_ids"]])
        start = len(tokenizer(context)["input_ids"])
        with torch.no_grad():
            likely = llama(ids).logits[0].log_softmax(-1)
        wanted = np.mean([float(likely[i - 1, ids[0, i]]) for i in range(start, ids.shape[1])])
        assert score == pytest.approx(wanted, abs=1e-6)
    assert np.array_equal(scorer(given, [REFERENCE] * 4), scores)
    assert scorer(given[::-1], [REFERENCE] * 4) == pytest.approx(scores[::-1])


def _bytes(*tags, unknown=False):
    """Every byte a token (or just ASCII), then </s>, <pad>, <unk> and the tags."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<s>", "<pad>", "</s>", "<unk>", *tags]
    vocab = {symbol: i for i, symbol in enumerate([*special, *([*alphabet[:94], "Ċ", "Ġ"] if unknown else alphabet)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


@pytest.fixture
def t5(tmp_path):
    """A random sequence-to-sequence model without tags for languages."""

    def make(vocabulary=320, **options):
        tokenizer = _bytes(**options)
        set_seed(0)
        sizes = {"vocab_size": vocabulary, "d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 2, "num_heads": 4}
        T5ForConditionalGeneration(T5Config(**sizes, decoder_start_token_id=1)).save_pretrained(tmp_path / "t5")
        tokenizer.save_pretrained(tmp_path / "t5")
        return str(tmp_path / "t5")

    return make


def test_a_translation_model_scores_the_response_given_the_reference(t5):
    scorer = Translation(t5(), batch_size=2)
    given = responses("7", "Es sind 7.", "Nein, es sind mehr.")
    scores = scorer(given, [REFERENCE] * 3)
    for example, score in zip(given, scores, strict=True):
        source = torch.tensor([scorer.tokenizer(REFERENCE.response)["input_ids"]])
        target = torch.tensor([scorer.tokenizer(example.response)["input_ids"]])
        start = torch.cat([torch.tensor([[1]]), target[:, :-1]], dim=1)
        with torch.no_grad():
            likely = scorer.model(input_ids=source, decoder_input_ids=start).logits.log_softmax(-1)
        assert score == pytest.approx(float(likely[0].gather(-1, target[0, :, None]).mean()), abs=1e-5)
    scorer.model.train()
    assert np.array_equal(scorer(given, [REFERENCE] * 3), scores) and scorer.model.training
    assert scorer.provenance["scorer"] == "translation" and len(scorer.provenance["weights_sha256"]) == 64


def test_tags_of_the_languages_are_set(tmp_path):
    tags = ["eng_Latn", "deu_Latn", "swh_Latn"]
    set_seed(0)
    sizes = {"vocab_size": 300, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16}
    sizes |= {"decoder_ffn_dim": 16, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    M2M100ForConditionalGeneration(M2M100Config(**sizes)).save_pretrained(tmp_path / "nllb")
    characters = "▁ 0123456789+=.,abcdefghijklmnopqrstuvwxyzÄESTWNHR\n?ä"
    vocab = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *dict.fromkeys(characters)])}
    NllbTokenizer(vocab=vocab, merges=[], additional_special_tokens=tags).save_pretrained(tmp_path / "nllb")
    scorer = named(f"translation:{tmp_path / 'nllb'}", None, None)
    assert scorer(responses("Es sind 7."), [REFERENCE]).shape == (1,)
    assert (scorer.tokenizer.src_lang, scorer.tokenizer.tgt_lang) == ("eng_Latn", "deu_Latn")
    scorer(responses("Wako 7.", language="sw"), [REFERENCE])
    assert scorer.tokenizer.tgt_lang == "swh_Latn"
    with pytest.raises(NeuroglotError, match="has no tag for the language 'fr'"):
        scorer(responses("Il y en a 7.", language="fr"), [REFERENCE])


def test_scorers_that_do_not_fit(t5, tmp_path, model_folder):
    with pytest.raises(NeuroglotError, match=r"has a tokenizer of \d+ tokens and a model of 200.*another vocabulary"):
        Translation(t5(vocabulary=200))
    scorer = Translation(t5(unknown=True))
    with pytest.raises(NeuroglotError, match=r"ru, q#1: the scorer .* has no tokens for some of this text"):
        scorer(responses("Их семь.", language="ru"), [REFERENCE])
    with pytest.raises(NeuroglotError, match="could not be loaded as a sequence-to-sequence model"):
        Translation(str(model_folder))
    for name in ("best", "translation:", "exact:1"):
        with pytest.raises(NeuroglotError, match=f"there is no scorer '{name}'"):
            named(name, None, None)
    assert isinstance(named("exact", None, None), Exact)
    assert named("self", tiny_model("llama"), None).path is None


def test_a_packages_scorer_is_found_by_name_and_checked(install):
    install("stone", {"neuroglot.scorers": {name: f"stone_scorers:{name}" for name in ("Good", "bare")}})
    (install.folder / "stone_scorers.py").write_text(
        "class Good:\n"
        "    def __init__(self, rest): self.provenance = {'scorer': 'good', 'rest': rest}\n"
        "    def __call__(self, responses, references): return [1.0] * len(responses)\n"
        "def bare(rest): return len\n"
    )
    assert named("Good:7", None, None).provenance == {"scorer": "good", "rest": "7"}
    with pytest.raises(NeuroglotError, match=r"bare = stone_scorers:bare .* of stone 1\.0, gave no scorer"):
        named("bare", None, None)
    with pytest.raises(NeuroglotError, match="there is no scorer 'martian'; use exact, self, Good, bare, or"):
        named("martian", None, None)
