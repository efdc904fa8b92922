"""Top contexts against every text run alone, in plain loops; any batches; files; what a page is given."""

import base64
import dataclasses
import itertools
import json
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroglot import Corpus, Example, NeuroglotError, classify, collect
from neuroglot.neurons import contexts as module
from neuroglot.neurons.contexts import TopContexts, chosen_neurons, top_contexts

from ..conftest import byte_tokenizer, tiny_model, unsettled
from ..reference import neurons as values_of

QUIET = {"progress": False}
FAMILIES = ["llama", "phi3", "opt", "gpt2", "mixtral"]
SOME = [[2, 5], [0, 3], [0, 47], [1, 20], [2, 30], [1, 11]]


@pytest.fixture
def corpus():
    rows = [
        ("a", "en", "How many? ", "There are 12."), ("b", "en", "And left? ", "Four."), ("c", "en", "", "Good day."),
        ("d", "en", "", "We walk to the river."), ("a", "bn", "কত? ", "মোট ১২টি।"), ("b", "bn", "", "নদীর ধারে বাড়ি।"),
        ("c", "bn", "কী? ", "চার।"), ("a", "th", "", "บ้านเล็ก"), ("c", "th", "กี่? ", "ดี"),
    ]  # fmt: skip
    return Corpus("mixed", ("en", "bn", "th"), tuple(Example(i, code, p, r) for i, code, p, r in rows))


def rounded(value: float) -> float:
    """To twelve significant bits, ties away from zero."""
    mantissa, exponent = np.frexp(np.float32(value))
    return float(np.ldexp(np.copysign(np.trunc(np.abs(mantissa) * 2**12 + 0.5), mantissa) / 2**12, exponent))


def expected(model, corpus, chosen, quantity, contexts, window):
    """Per neuron and language: ``(value, example, token, first token, values of the window)``, best first.

    One byte is one token, after one for the beginning.
    """
    family = model.config.model_type
    kind = "activation" if quantity == "pre-activation" else quantity
    runs = []
    for example in corpus.examples:
        text = (example.prompt + example.response).encode()
        ids = byte_tokenizer()(example.prompt + example.response)["input_ids"]
        assert len(ids) == len(text) + 1
        values = [torch.stack([t[kind] for t in layer]).nan_to_num(0.0) for layer in values_of(model, ids, family)]
        runs.append((values, len(example.prompt.encode()) + 1, len(ids)))
    result = {}
    for layer, neuron in chosen:
        for language in corpus.languages:
            found = []
            for number, (values, start, length) in enumerate(runs):
                column = values[layer][:, neuron].tolist()
                best = max(range(start, length), key=lambda t, column=column: (rounded(column[t]), -t))
                if corpus.examples[number].language == language and column[best] > 0:
                    first = max(0, min(best - 2 * window // 3, length - window))
                    found.append((rounded(column[best]), number, best, first, column[first : first + window]))
            result[layer, neuron, language] = sorted(found, key=lambda f: (-f[0], f[1]))[:contexts]
    return result


@pytest.mark.parametrize(("quantity", "window"), [("pre-activation", 8), ("product", 30)])
@pytest.mark.parametrize("family", FAMILIES)
def test_against_every_text_alone(family, quantity, window, tokenizer, corpus):
    model = tiny_model(family)
    found = top_contexts(model, tokenizer, corpus, SOME, contexts=2, window=window, quantity=quantity, **QUIET)
    assert found.neurons.tolist() == sorted(SOME) and found.neurons.dtype == np.int64
    truth = expected(model, corpus, found.neurons.tolist(), quantity, 2, window)
    for row, (layer, neuron) in enumerate(found.neurons.tolist()):
        peak = max((f[0] for code in corpus.languages for f in truth[layer, neuron, code]), default=0)
        for k, code in enumerate(corpus.languages):
            theirs = truth[layer, neuron, code]
            theirs += [(0.0, -1, 0, 0, [])] * (2 - len(theirs))
            for slot, (value, example, token, first, shown) in enumerate(theirs):
                cell = row, k, slot
                assert found.value[cell] == pytest.approx(value, rel=1e-6)
                assert (found.example[cell], found.token[cell], found.first[cell]) == (example, token, first)
                shades = [min(max(v / peak, 0), 1) * 255 for v in shown] + [0] * (window - len(shown))
                np.testing.assert_allclose(found.shade[cell], shades, atol=0.6)
    assert (found.shade.max(axis=(1, 2, 3)) == 255).all() and (found.passage >= 0).mean() > 0.5


@pytest.mark.parametrize("family", ["llama", "mixtral"])
def test_any_batches_give_the_same(family, tokenizer, corpus):
    model = tiny_model(family)
    every = [(layer, neuron) for layer in range(3) for neuron in range(48)]
    one = top_contexts(model, tokenizer, corpus, every, batch_tokens=1, **QUIET)
    for size in (60, 150, 4000):
        other = top_contexts(model, tokenizer, corpus, every, batch_tokens=size, **QUIET)
        for name in ("neurons", "example", "token", "first", "examples", "starts", "spans"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name
        np.testing.assert_allclose(one.value, other.value, rtol=1e-3)
        np.testing.assert_allclose(one.shade.astype(int), other.shade.astype(int), atol=1)


@pytest.mark.parametrize("experts", ["eager", "grouped_mm", "batched_mm"])
def test_experts_however_they_are_run(experts, tokenizer, corpus):
    model = tiny_model("mixtral").float()
    usual = top_contexts(model, tokenizer, corpus, SOME, quantity="activation", **QUIET)
    model.set_experts_implementation(experts)
    found = top_contexts(model, tokenizer, corpus, SOME, quantity="activation", **QUIET)
    assert np.array_equal(found.example, usual.example)
    np.testing.assert_allclose(found.value, usual.value, rtol=1e-3)


def test_equal_texts_are_a_tie_for_the_earlier(llama, tokenizer):
    texts = ["Good day to you.", "Good day to you.", "Good day to you. Yes", "Good day to you."]
    corpus = Corpus("same", ("en",), tuple(Example(str(i), "en", "", text) for i, text in enumerate(texts)))
    every = [(layer, neuron) for layer in range(3) for neuron in range(48)]
    for size in (1, 40, 1000):
        found = top_contexts(llama, tokenizer, corpus, every, contexts=4, batch_tokens=size, **QUIET)
        tied = (found.token <= len(texts[0])).all(axis=(1, 2)) & (found.passage >= 0).all(axis=(1, 2))
        assert tied.sum() > 30
        assert (found.example[tied][:, 0] == [0, 1, 2, 3]).all()


def long() -> Corpus:
    """One text in several pieces, and one in one; the second language is short."""
    body = "".join(chr(97 + (7 * i * i + i) % 26) for i in range(50))
    rows = [("1", "en", "abc", body), ("2", "en", "", "The house."), ("1", "de", "", "Guten Tag.")]
    return Corpus("long", ("en", "de"), tuple(Example(*row) for row in rows))


def test_pieces_of_a_long_text_are_one_text(tokenizer):
    model, corpus, window = tiny_model("gpt2", n_positions=20), long(), 6
    body, every = corpus.examples[0].response, [(layer, neuron) for layer in range(3) for neuron in range(48)]
    pieces = [body[at : at + 16] for at in range(0, 50, 16)]  # 20 less the beginning and the prompt
    runs = [values_of(model, tokenizer("abc" + piece)["input_ids"], "gpt2") for piece in pieces]
    results = [
        top_contexts(model, tokenizer, corpus, every, contexts=2, window=window, batch_tokens=size, **QUIET)
        for size in (1, 4000)
    ]
    found = results[0]
    assert all(
        np.array_equal(getattr(found, name), getattr(results[1], name)) for name in ("example", "passage", "first")
    )
    later = 0
    for row, (layer, neuron) in enumerate(every):
        columns = [
            [rounded(token["activation"][neuron]) if token["activation"][neuron] > 0 else 0.0 for token in run[layer]]
            for run in runs
        ]
        value, piece, token = min((-v, p, t) for p, column in enumerate(columns) for t, v in enumerate(column) if t > 3)
        slots = np.flatnonzero(found.example[row, 0] == 0)
        assert len(slots) == (1 if value < 0 else 0)
        for slot in slots:
            context = found.of(layer, neuron, corpus)[0]["contexts"][slot]
            shown = "".join(text for text, _, _ in context["pieces"])
            later += piece > 0
            run = ("\0abc" if piece == 0 else "") + pieces[piece]  # \0: the beginning, which is no text
            at = token if piece == 0 else token - 4
            first = max(0, min(at - 4, len(run) - window))
            assert context["value"] == pytest.approx(-value, rel=1e-6)
            assert shown == run[first : first + window].strip("\0")
            values = columns[piece][0 if piece == 0 else 4 :][first : first + window]
            shades = [v / found.value[row].max() for v in values] + [0] * (window - len(values))
            np.testing.assert_allclose(found.shade[row, 0, slot], np.clip(shades, 0, 1) * 255, atol=0.6)
    assert later > 20


def test_equal_pieces_of_a_text_are_a_tie_for_the_first(tokenizer):
    model = tiny_model("gpt2", n_positions=20)
    corpus = Corpus("again", ("en",), (Example("1", "en", "abc", "defghijklmnopqrs" * 3),))
    for size in (1, 40, 1000):
        found = top_contexts(model, tokenizer, corpus, SOME, batch_tokens=size, **QUIET)
        assert found.examples.tolist() == [0] and len(found.spans) == 20 and found.spans[-1].tolist() == [18, 19]


def test_a_slot_that_a_better_piece_leaves_is_empty(tokenizer):
    model, corpus = tiny_model("gpt2", n_positions=20), Corpus("one", ("en",), long().examples[:1])
    every = [(layer, neuron) for layer in range(3) for neuron in range(48)]
    found = top_contexts(model, tokenizer, corpus, every, batch_tokens=1, **QUIET)
    assert len(found.examples) > 1 and (found.passage[:, 0, 1] == -1).all()
    assert not found.shade[:, 0, 1].any() and not found.token[:, 0, 1].any()


def test_token_ids_show_the_text_that_they_are_of(llama, tokenizer, corpus):
    def given(example):
        ids, start = tokenizer(example.prompt + example.response)["input_ids"], len(example.prompt.encode()) + 1
        return dataclasses.replace(example, prompt="<s>" + example.prompt, tokens=[ids[:start], ids[start:]])

    same = dataclasses.replace(corpus, examples=tuple(given(example) for example in corpus.examples))
    assert (collect(llama, tokenizer, same, **QUIET).counts == collect(llama, tokenizer, corpus, **QUIET).counts).all()
    one, other = (top_contexts(llama, tokenizer, text, SOME, window=300, **QUIET) for text in (corpus, same))
    assert (one.value == other.value).all() and (one.token == other.token).all()
    for layer, neuron in SOME:
        for mine, theirs in zip(one.of(layer, neuron, corpus), other.of(layer, neuron, same), strict=True):
            for a, b in zip(mine["contexts"], theirs["contexts"], strict=True):
                first, *others = b["pieces"]  # the beginning stands in the text, with a shade of its own
                assert first[::2] == ("<s>", False) and others == a["pieces"]


def test_a_text_without_a_place_where_it_fires(tokenizer, corpus):
    model = tiny_model("opt")
    with torch.no_grad():
        model.model.decoder.layers[1].fc1.bias[4] = -1e6
    found = top_contexts(model, tokenizer, corpus, [(1, 4), (1, 5)], contexts=6, **QUIET)
    assert not found.value[0].any() and (found.passage[0] == -1).all() and (found.example[0] == -1).all()
    assert not found.shade[0].any() and np.isfinite(found.value).all()
    empty = top_contexts(model, tokenizer, corpus, [(1, 4)], **QUIET)
    assert empty.spans.shape == (0, 2) and empty.of(1, 4, corpus)[2] == {"language": "th", "contexts": []}
    assert page_contexts(empty.for_page(corpus))[1, 4, "th"] == []


def test_only_as_deep_as_asked(llama, tokenizer, corpus):
    llama.model.layers[2].register_forward_hook(lambda *_: pytest.fail("a layer too many was run"))
    llama.model.layers[1].mlp.down_proj.register_forward_hook(lambda *_: pytest.fail("more was run than is read"))
    top_contexts(llama, tokenizer, corpus, [(0, 1), (1, 2)], **QUIET)
    mixture = tiny_model("mixtral")
    mixture.model.layers[2].register_forward_hook(lambda *_: pytest.fail("a layer too many was run"))
    top_contexts(mixture, tokenizer, corpus, [(1, 2)], **QUIET)
    assert not any(part._forward_hooks for part in mixture.model.layers[1].modules())


def test_training_mode_checkpoints_and_compiled_code_change_no_context(tokenizer, corpus):
    wanted = top_contexts(tiny_model("gpt2"), tokenizer, corpus, SOME, **QUIET)
    with unsettled(tiny_model("gpt2", resid_pdrop=0.5)) as model:
        found = top_contexts(model, tokenizer, corpus, SOME, **QUIET)
    for name, array in vars(wanted).items():
        assert name == "provenance" or np.array_equal(getattr(found, name), array), name


def test_values_that_are_not_finite_are_refused(llama, tokenizer, corpus):
    with torch.no_grad():
        llama.model.layers[0].mlp.down_proj.weight.fill_(float("nan"))
    with pytest.raises(NeuroglotError, match="not finite"):
        top_contexts(llama, tokenizer, corpus, [(1, 2)], **QUIET)


# --- files -------------------------------------------------------------------------------------


def test_a_file_is_whole_and_the_same_and_nothing_runs_again(llama, tokenizer, corpus, tmp_path):
    passes = []
    llama.model.register_forward_pre_hook(lambda *_: passes.append(1))
    paths = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    found = [top_contexts(llama, tokenizer, corpus, SOME, path, **QUIET) for path in paths]
    assert paths[0].read_bytes() == paths[1].read_bytes() and sorted(tmp_path.iterdir()) == list(paths)
    before = len(passes)
    again = top_contexts(llama, tokenizer, corpus, SOME[::-1] + SOME, paths[0], **QUIET)
    assert before > 0 and len(passes) == before
    for name in (field.name for field in dataclasses.fields(TopContexts)):
        one, other = getattr(found[0], name), getattr(again, name)
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other, name
        assert not isinstance(one, np.ndarray) or one.dtype == other.dtype
    assert again.provenance["settings"]["window"] == 16
    with pytest.raises(NeuroglotError, match="holds other contexts"):
        top_contexts(llama, tokenizer, corpus, SOME, paths[0], window=4, **QUIET)
    with pytest.raises(NeuroglotError, match=r"other contexts \(neurons_sha256 differ"):
        top_contexts(llama, tokenizer, corpus, SOME[1:], paths[0], **QUIET)
    other = top_contexts(llama, tokenizer, corpus, SOME[1:], paths[0], overwrite=True, **QUIET)
    assert len(TopContexts.load(paths[0]).neurons) == len(other.neurons) == 5
    with torch.no_grad():
        llama.model.layers[0].mlp.gate_proj.weight[0, 0] += 1
    with pytest.raises(NeuroglotError, match="weights_sha256"):
        top_contexts(llama, tokenizer, corpus, SOME, paths[1], **QUIET)


def test_another_text_is_refused(llama, tokenizer, corpus):
    found = top_contexts(llama, tokenizer, corpus, SOME, **QUIET)
    changed = dataclasses.replace(corpus, examples=corpus.examples[::-1])
    for read in (lambda: found.of(0, 3, changed), lambda: found.for_page(changed)):
        with pytest.raises(NeuroglotError, match="not of this text"):
            read()
    with pytest.raises(NeuroglotError, match="no contexts of neuron 4 in layer 0"):
        found.of(0, 4, corpus)


def test_damaged_contexts_are_refused(llama, tokenizer, corpus, tmp_path):
    found = top_contexts(llama, tokenizer, corpus, SOME, **QUIET)
    for change in (
        {"languages": ("en", "bn")},
        {"value": found.value[1:]},
        {"passage": found.passage + 100},
        {"token": found.token + 1000},
        {"starts": found.starts[:-1]},
        {"value": np.full_like(found.value, np.nan)},
    ):
        with pytest.raises(NeuroglotError, match="make the contexts again"):
            dataclasses.replace(found, **change)
    found.save(path := tmp_path / "x.safetensors")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(NeuroglotError, match="cannot be read"):
        TopContexts.load(path)


def test_bad_input_is_refused(llama, tokenizer, corpus, monkeypatch):
    for neurons, message in (
        ([], "at least one row"),
        (np.zeros((0, 2), dtype=int), "at least one row"),
        ([1, 2], "at least one row"),
        ([[0.5, 1]], "whole numbers"),
        ([[True, False]], "whole numbers"),
        ([[3, 0]], "no neuron 0 in layer 3; the model has 3 layers of 48"),
        ([[0, 1], [2, 48]], "no neuron 48 in layer 2"),
        ([[-1, 0]], "no neuron 0 in layer -1"),
    ):
        with pytest.raises(NeuroglotError, match=message):
            top_contexts(llama, tokenizer, corpus, neurons, **QUIET)
    for name in ("contexts", "window", "batch_tokens", "max_tokens"):
        with pytest.raises(NeuroglotError, match=f"{name}=0: give a whole number"):
            top_contexts(llama, tokenizer, corpus, SOME, **{name: 0}, **QUIET)
    with pytest.raises(NeuroglotError, match="quantity 'sum' is unknown"):
        top_contexts(llama, tokenizer, corpus, SOME, quantity="sum", **QUIET)
    questions = Corpus("q", ("en",), (Example("1", "en", "Why?", ""),))
    with pytest.raises(NeuroglotError, match="no responses"):
        top_contexts(llama, tokenizer, questions, SOME, **QUIET)
    monkeypatch.setattr(type(tokenizer), "is_fast", False)
    with pytest.raises(NeuroglotError, match="slow tokenizer"):
        top_contexts(llama, tokenizer, corpus, SOME, **QUIET)


# --- text --------------------------------------------------------------------------------------


def page_contexts(page: dict) -> dict:
    """Pieces ``(text, shade 0 to 255, of the response)`` as a page's script makes them of what it is given."""
    page = json.loads(json.dumps(page, allow_nan=False))
    shape = len(page["neurons"]), len(page["languages"]), page["contexts"]

    def numbers(name: str, kind: str = "<i4") -> np.ndarray:
        return np.frombuffer(zlib.decompress(base64.b64decode(page[name])), dtype=kind)

    texts = json.loads(zlib.decompress(base64.b64decode(page["texts"])))
    passage, first = (numbers(name).reshape(shape) for name in ("passage", "first"))
    shades = numbers("shades", "u1").reshape(*shape, page["window"])
    steps, ends = numbers("spans"), np.cumsum([0, *page["tokens"]])
    result = {}
    for row, k, slot in np.ndindex(shape):
        key = page["layers"][row], page["neurons"][row], page["languages"][k]
        into = result.setdefault(key, [])
        number = int(passage[row, k, slot])
        if number < 0:
            continue
        spans = np.cumsum(steps[2 * ends[number] : 2 * ends[number + 1]]).reshape(-1, 2)
        text, prompt = texts[page["text"][number]]
        units, pieces, last = text.encode("utf-16-le"), [], None
        for i, (start, stop) in enumerate(spans[first[row, k, slot] :][: page["window"]].tolist()):
            shade = int(shades[row, k, slot, i])
            if start == stop:
                continue
            if last == (start, stop):
                pieces[-1] = (pieces[-1][0], max(pieces[-1][1], shade), pieces[-1][2])
                continue
            if last and start > last[1]:
                pieces.append((units[2 * last[1] : 2 * start].decode("utf-16-le"), 0, start > prompt))
            pieces.append((units[2 * start : 2 * stop].decode("utf-16-le"), shade, stop > prompt))
            last = start, stop
        into.append(pieces)
    return result


def test_bytes_of_one_character_are_one_piece(llama, tokenizer, corpus):
    every = [(layer, neuron) for layer in range(3) for neuron in range(48)]
    found = top_contexts(llama, tokenizer, corpus, every, window=9, contexts=3, **QUIET)
    page = page_contexts(found.for_page(corpus))
    checked = 0
    for row, (layer, neuron) in enumerate(every):
        for k, of_language in enumerate(found.of(layer, neuron, corpus)):
            assert of_language["language"] == corpus.languages[k]
            for slot, context in enumerate(of_language["contexts"]):
                example = corpus.examples[context["example"]]
                whole = example.prompt + example.response
                where = [(i, c) for i, c in enumerate(whole) for _ in c.encode()]  # of each byte its character
                start = found.first[row, k, slot] - 1  # the beginning is no text
                bytes_shown = where[max(start, 0) : start + 9]
                shades = found.shade[row, k, slot][1 if start < 0 else 0 :]
                theirs = {}
                for (i, character), shade in zip(bytes_shown, shades, strict=False):
                    old = theirs.get(i, (character, 0, False))[1]
                    theirs[i] = character, max(old, int(shade)), i >= len(example.prompt)
                ours = [(text, round(shade * 255), mine) for text, shade, mine in context["pieces"]]
                assert ours == list(theirs.values())
                assert page[layer, neuron, of_language["language"]][slot] == ours
                checked += of_language["language"] != "en"
    assert checked > 300


def test_characters_outside_the_first_plane_and_spaces_between_tokens(llama):
    corpus = Corpus("x", ("en", "de"), (Example("1", "en", "🏠 ", "a🏠b 🌊c"), Example("1", "de", "", "𝔞𝔟 ja")))
    every = [(0, neuron) for neuron in range(12)]
    found = top_contexts(llama, byte_tokenizer(), corpus, every, window=30, **QUIET)
    page = page_contexts(found.for_page(corpus))
    texts = {code: {"".join(p[0] for p in c) for _, n in every for c in page[0, n, code]} for code in ("en", "de")}
    assert texts == {"en": {"🏠 a🏠b 🌊c"}, "de": {"𝔞𝔟 ja"}}
    pieces = module._pieces(
        Example("1", "en", "a b", " c d"), np.array([[0, 1], [2, 3], [4, 5]]), np.array([0, 255, 51])
    )
    assert pieces == [("a", 0, False), (" ", 0, False), ("b", 1, False), (" ", 0, True), ("c", 0.2, True)]


@pytest.mark.parametrize(
    ("offsets", "cells"),
    [
        ([(0, 0), (0, 3), (3, 4), (0, 0)], [[0, 0], [0, 3], [3, 4], [4, 4]]),  # a beginning and an end
        ([(0, 1), (0, 1), (0, 1), (1, 2)], [[0, 1], [0, 1], [0, 1], [1, 2]]),  # bytes of one character
        ([(0, 1), (1, 1), (1, 1), (1, 2)], [[0, 1], [0, 1], [0, 1], [1, 2]]),  # the same, with empty spans
        ([(0, 2), (1, 3), (3, 4)], [[0, 3], [0, 3], [3, 4]]),
        ([(0, 4), (1, 2), (5, 6)], [[0, 4], [0, 4], [5, 6]]),
        ([], []),
    ],
)
def test_spans_are_equal_or_apart(offsets, cells):
    assert module._cells(offsets).tolist() == cells


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4)), max_size=20))
def test_spans_ascend_whatever_a_tokenizer_says(drawn):
    cells = module._cells([(start, start + length) for start, length in drawn]).tolist()
    assert len(cells) == len(drawn)
    for (a, b), (c, d) in itertools.pairwise(cells):
        assert [a, b] == [c, d] or b <= c


@settings(deadline=None)
@given(st.data())
def test_a_text_with_a_beginning_of_its_own(data):
    words = data.draw(st.lists(st.sampled_from(["ja", "নদী", "ดี", "🏠"]), min_size=1, max_size=4))
    corpus = Corpus("own", ("de",), (Example("1", "de", "<s>", " ".join(words)),))
    found = top_contexts(tiny_model("llama"), byte_tokenizer(), corpus, [(0, n) for n in range(8)], window=60, **QUIET)
    shown = {
        "".join(piece[0] for piece in context["pieces"])
        for n in range(8)
        for context in found.of(0, n, corpus)[0]["contexts"]
    }
    assert shown == {"<s>" + " ".join(words)}


# --- which neurons -----------------------------------------------------------------------------


def test_chosen_neurons(llama, tokenizer, corpus):
    stats = collect(llama, tokenizer, corpus, **QUIET)
    types = classify(stats, top_rate=0.2, quantile=0.4)
    p, kind = stats.probabilities(), types.kind
    own = {(i, j) for i in range(3) for j in range(48) if kind[i, j] in ("specific", "related")}
    ranked = sorted(
        ((i, j) for i in range(3) for j in range(48) if kind[i, j] == "general"), key=lambda ij: (-min(p[ij]), ij)
    )
    assert own and len(ranked) > 5
    for general in (0, 3, len(ranked) + 50):
        found = chosen_neurons(types, stats, general=general)
        assert list(map(tuple, found.tolist())) == sorted(own | set(ranked[:general])) and found.dtype == np.int64
    with pytest.raises(NeuroglotError, match="general=-1"):
        chosen_neurons(types, stats, general=-1)
    with pytest.raises(NeuroglotError, match="not of the same"):
        chosen_neurons(types, stats.select("en bn"))


def test_any_neuron_can_be_fetched(llama, tokenizer, corpus):
    found = module.finder(llama, tokenizer, corpus, contexts=1, window=4, **QUIET)(1, 5)
    assert found.neurons.tolist() == [[1, 5]]
    assert np.array_equal(found.value, top_contexts(llama, tokenizer, corpus, [(1, 5)], contexts=1, window=4).value)
