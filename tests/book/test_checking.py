"""What is shown to a user: all is well with tiny models of several kinds, and each check fails where it should."""

import contextlib
from dataclasses import replace

import pytest
import torch
from tokenizers import models, normalizers, processors
from transformers import PreTrainedTokenizerFast

from neuroglot import Example, amplify, load_corpus
from neuroglot.book import checking
from neuroglot.book.checking import FAILED, OK, UNKNOWN, check
from neuroglot.cli import main
from neuroglot.counts.collecting import Collection
from neuroglot.counts.counting import Counter
from neuroglot.model import batches
from neuroglot.model.sites import SITES, Site
from neuroglot.text.corpora import Corpus

from ..conftest import TEXTS, byte_tokenizer, tiny_model


def corpus_of(texts, prompt=""):
    examples = [
        Example(f"{number}", code, prompt, text) for code, some in texts.items() for number, text in enumerate(some)
    ]
    return Corpus("tiny", tuple(texts), tuple(examples))


TEXT = corpus_of(TEXTS)


def verdicts(found):
    return {finding.about: finding.verdict for finding in found}


def failing(model, tokenizer=None, corpus=TEXT):
    """The findings that failed, by what they are about."""
    found = check(model, tokenizer or byte_tokenizer(), corpus)
    return {finding.about: finding.said for finding in found if finding.verdict == FAILED}


@pytest.mark.parametrize(
    "family", ["llama", "gpt2", "phi3", "opt", "gemma3", "falcon", "bloom", "mixtral", "qwen3_moe"]
)
def test_all_is_well(family):
    model = tiny_model(family)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    found = check(model, byte_tokenizer(), TEXT)
    assert set(verdicts(found).values()) == {OK}, [str(each) for each in found]
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    said = " ".join(map(str, found))
    assert (
        f"3 layers x {128 if family == 'bloom' else 48} neurons" in said
        and "proven in every layer" in said
        and "3 languages" in said
    )
    assert ("4 experts" in said) == (family in ("mixtral", "qwen3_moe")) and family in said


@pytest.mark.parametrize(
    ("dtype", "how"),
    [
        (torch.float32, "grouped_mm"),  # which takes no tensors as small as these in bfloat16
        (torch.float32, "batched_mm"),
        (torch.bfloat16, "batched_mm"),
        (torch.bfloat16, "eager"),
    ],
)
def test_fewer_digits(dtype, how):
    mixture = tiny_model("mixtral").to(dtype)
    mixture.set_experts_implementation(how)
    for model in (mixture, tiny_model("llama").to(dtype)):
        assert failing(model) == {}


def test_a_family_outside_the_table(monkeypatch):
    monkeypatch.delitem(SITES, "llama")
    found = check(tiny_model("llama"), byte_tokenizer(), TEXT)
    assert set(verdicts(found).values()) == {OK} and "found by trying its modules" in found[0].said


# --- each fails where it should -------------------------------------------------------------------


def test_neurons_in_the_wrong_place(monkeypatch):
    monkeypatch.setitem(SITES, "llama", Site(gate="mlp.up_proj"))
    assert "but in layer 0 these are not" in failing(tiny_model("llama"))["neurons"]


def test_experts_that_compute_something_else(monkeypatch):
    model = tiny_model("mixtral")
    experts = type(model.model.layers[0].mlp.experts)
    usual = experts.forward
    monkeypatch.setattr(experts, "forward", lambda self, *args, **options: usual(self, *args, **options) * 1.01)
    assert set(failing(model)) == {"neurons"}


@pytest.mark.parametrize("family", ["llama", "mixtral"])
@pytest.mark.parametrize("by", [1, -1])
def test_counts_off_by_one(family, by, monkeypatch):
    usual = checking.count_activations

    def off(*args, **options):
        counts = usual(*args, **options)
        counts[1, counts[1].argmax()] += by
        return counts

    monkeypatch.setattr(checking, "count_activations", off)
    assert set(failing(tiny_model(family))) == {"counts"}


def test_reading_that_changes_something(monkeypatch):
    usual = Counter._see

    def touching(self, number, mlp, counted, value, routing):
        usual(self, number, mlp, counted, value, routing)
        counted.mul_(1 + 1e-9)

    monkeypatch.setattr(Counter, "_see", touching)
    assert set(failing(tiny_model("llama"))) == {"reading"}


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral"])
@pytest.mark.parametrize(
    "instead", [lambda *_: contextlib.nullcontext(), lambda model, neurons: amplify(model, neurons, 0.5)]
)
def test_a_removal_that_removes_nothing_or_half(family, instead, monkeypatch):
    monkeypatch.setattr(checking, "deactivate", instead)
    failed = failing(tiny_model(family))
    assert set(failed) == {"removal"} and "are off by" in failed["removal"]


def test_a_beginning_that_is_written_twice(monkeypatch):
    monkeypatch.setattr(batches, "begins_twice", lambda *_: False)
    assert failing(tiny_model("llama")) == {"beginning token": "a text begins with '<s>' twice"}


def without_beginning():
    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


def test_a_beginning_that_is_missing(monkeypatch):
    model = tiny_model("llama")
    assert failing(model, without_beginning()) == {}
    usual = checking._nats
    expects = lambda model, ids, last: usual(model, ids, last) - (ids[0] == 256)  # noqa: E731
    monkeypatch.setattr(checking, "_nats", expects)
    assert "the model expects it" in failing(model, without_beginning())["beginning token"]
    assert failing(model) == {}


def test_losses_of_the_last_tokens():
    model, ids = tiny_model("llama"), [256, 5, 7, 9, 2]
    whole = model(input_ids=torch.tensor([ids]), labels=torch.tensor([[-100, -100, *ids[2:]]])).loss
    assert checking._nats(model, ids, 3) == pytest.approx(whole.item(), rel=1e-5)


def test_a_beginning_that_is_counted(monkeypatch):
    usual = checking.tokenize
    monkeypatch.setattr(checking, "tokenize", lambda *args: [(ids, [True] * len(ids)) for ids, _ in usual(*args)])
    failed = failing(tiny_model("llama"))
    assert "is counted as text" in failed["beginning token"]


def test_padding_that_is_counted(monkeypatch):
    usual = checking.count_activations

    def every(model, ids, mask, counted, **options):
        return usual(model, ids, torch.ones_like(ids), torch.ones_like(ids), **options)

    monkeypatch.setattr(checking, "count_activations", every)
    assert set(failing(tiny_model("llama"))) == {"counts", "padding"}


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        (lambda kept: [True] * len(kept), "counted tokens are of the prompt"),
        (lambda kept: [*kept[:-1], False], "characters of the response are in no counted token"),
    ],
)
def test_other_tokens_than_those_of_the_response(marks, said, monkeypatch):
    usual = checking.tokenize
    texts = {code: [text.rstrip(".") for text in some] for code, some in TEXTS.items()}
    corpus = corpus_of(texts, prompt="Say: ")
    assert failing(tiny_model("llama"), corpus=corpus) == {}
    monkeypatch.setattr(
        checking, "tokenize", lambda *args: [(ids, [False, *marks(kept[1:])]) for ids, kept in usual(*args)]
    )
    assert said in failing(tiny_model("llama"), corpus=corpus)["offsets"]


def test_a_slow_tokenizer(monkeypatch):
    tokenizer = byte_tokenizer()
    monkeypatch.setattr(type(tokenizer), "is_fast", False)
    found = check(tiny_model("llama"), tokenizer, TEXT)
    assert verdicts(found)["offsets"] == UNKNOWN and FAILED not in verdicts(found).values()
    assert "slow tokenizer" in failing(tiny_model("llama"), tokenizer, corpus_of(TEXTS, "Say: "))["offsets"]


def test_a_tokenizer_that_gives_back_something_else():
    lower = byte_tokenizer()
    lower.backend_tokenizer.normalizer = normalizers.Lowercase()
    failed = failing(tiny_model("llama"), lower)
    assert failed == {"round trip": "text in en, de, ru is another one after encoding and decoding"}


def test_text_that_the_tokenizer_has_no_tokens_for():
    usual = byte_tokenizer()
    vocabulary = {word: number for word, number in usual.get_vocab().items() if word != "¶"}  # second byte of ö
    usual.backend_tokenizer.model = models.BPE(vocab=vocabulary | {"<unk>": 299}, merges=[], unk_token="<unk>")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=usual.backend_tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    texts = TEXTS | {"de": ["Das schöne Haus ist klein und alt."]}
    failed = failing(tiny_model("llama"), tokenizer, corpus_of(texts))
    assert failed["round trip"] == "de 1 tokens are unknown to the tokenizer"


def test_text_in_another_language():
    failed = failing(tiny_model("llama"), corpus=corpus_of({"en": TEXTS["en"], "fr": TEXTS["de"], "ru": TEXTS["ru"]}))
    assert set(failed) == {"languages"} and "fr 0 of 4" in failed["languages"]
    assert failed["languages"].endswith("text in fr is mostly taken for another language")


def test_a_language_that_the_detector_does_not_know():
    texts = {"en": TEXTS["en"], "qu": ["Kay wasi huch'uylla, mawk'a."]}
    found = check(tiny_model("llama"), byte_tokenizer(), corpus_of(texts))
    assert verdicts(found)["languages"] == UNKNOWN and FAILED not in verdicts(found).values()
    assert "the detector does not know qu" in next(each.said for each in found if each.about == "languages")


def test_a_run_that_cannot_be():
    failed = failing(tiny_model("llama"), corpus=corpus_of(TEXTS, prompt="x" * 300))
    assert set(failed) == {"time and memory"} and "its prompt has 301 tokens" in failed["time and memory"]


def test_a_run_that_takes_more_memory_than_there_is(monkeypatch):
    monkeypatch.setattr(Collection, "memory", lambda self: {"model": 2**60})
    failed = failing(tiny_model("llama"))
    assert set(failed) == {"time and memory"} and "GiB in all" in failed["time and memory"]


def test_questions_will_do():
    asked = tuple(replace(e, prompt=e.response, response="") for e in TEXT.examples)
    found = check(tiny_model("llama"), byte_tokenizer(), replace(TEXT, examples=asked))
    assert set(verdicts(found).values()) == {OK} and "which the model answers first" in found[-1].said


def test_token_ids_will_do_without_a_beginning():
    tokenizer = byte_tokenizer()
    ids = [[[], tokenizer(example.response)["input_ids"][1:]] for example in TEXT.examples]
    examples = tuple(replace(example, tokens=own) for example, own in zip(TEXT.examples, ids, strict=True))
    assert failing(tiny_model("llama"), corpus=replace(TEXT, examples=examples)) == {}


def test_a_model_that_is_refused(monkeypatch):
    model = tiny_model("llama")
    model.config.use_bidirectional_attention = True
    failed = failing(model)
    assert "attends to both sides" in failed["neurons"]
    assert set(failed) == {"neurons", "counts", "reading", "removal", "padding", "time and memory"}


def test_weights_that_are_not_plain(monkeypatch):
    monkeypatch.setattr(checking, "_weight", lambda module: None)
    found = verdicts(check(tiny_model("llama"), byte_tokenizer(), TEXT))
    assert {about for about, verdict in found.items() if verdict == UNKNOWN} == {"neurons", "counts", "removal"}
    assert FAILED not in found.values()


def test_a_model_whose_own_code_fails(monkeypatch):
    model = tiny_model("llama")

    def broken(*_args, **_options):
        raise RuntimeError("of another\nversion")

    monkeypatch.setattr(type(model), "forward", broken)
    assert failing(model)["reading"] == "RuntimeError: of another version"


# --- the command ----------------------------------------------------------------------------------


def test_command(model_folder, texts, capsys, monkeypatch):
    usual = ["check", str(model_folder), "--corpus", f"text:{texts}", "--languages", "en de"]
    assert main(usual) == 0
    text, *lines = capsys.readouterr().out.splitlines()
    assert text == "text: text:texts, 8 examples in en, de"
    assert [line.split(":")[0].split(maxsplit=1) for line in lines] == [[OK, about] for about in checking._LOOKS]
    model_and_tokenizer = checking.itself(tiny_model("llama").float()), byte_tokenizer()
    assert [str(each) for each in check(*model_and_tokenizer, load_corpus(f"text:{texts}", "en de"))][:8] == lines[:8]
    monkeypatch.setattr(checking, "deactivate", lambda *_: contextlib.nullcontext())
    assert main(usual) == 1
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith(FAILED)] == ["removal:"]
    for more, said in (
        {("--languages", "en fr"): "no text for the language 'fr'", ("--dtype", "int3"): "dtype"}
    ).items():
        assert main([*usual, *more]) == 2
        assert said in capsys.readouterr().err
    assert main(["check", "/no/model", "--corpus", f"text:{texts}"]) == 2
    assert "there is no model '/no/model'" in capsys.readouterr().err


def test_a_packages_architecture_is_said_to_be_its(install):
    install("brick", {"neuroglot.sites": {"brick": "brick_rows:ROW"}})
    (install.folder / "brick_rows.py").write_text("from neuroglot.model.sites import Site\nROW = Site()\n")
    model = tiny_model("llama")
    model.config.model_type = "brick"
    found = check(model, byte_tokenizer(), TEXT)
    assert "'brick', given by brick 1.0: 3 layers x 48 neurons" in " ".join(map(str, found))
    assert FAILED not in verdicts(found).values(), [str(each) for each in found]
