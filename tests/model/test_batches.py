"""Which tokens count, whatever the tokenizer does; and how texts become batches."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

import neuroglot
from neuroglot import Corpus, Example, NeuroglotError, collect, load_corpus
from neuroglot.model import batches
from neuroglot.model.batches import portions_of, spans_of_ids, texts_of, tokenize
from neuroglot.model.stores import Text, TextStore
from neuroglot.neurons.contexts import _cells

from ..conftest import byte_tokenizer


def pair(prompt: str, response: str) -> Corpus:
    return Corpus("pair", ("en", "fr"), (Example("1", "en", prompt, response), Example("1", "fr", "", "oui")))


def counted(tokenizer, prompt: str, response: str) -> list[str]:
    """The counted tokens of one example, as the vocabulary has them."""
    text = texts_of(tokenizer, pair(prompt, response), 1, None)[0][0]
    return tokenizer.convert_ids_to_tokens([i for i, keep in zip(text.ids, text.counted, strict=True) if keep])


def ids(tokenizer, prompt: str, response: str) -> list[int]:
    return texts_of(tokenizer, pair(prompt, response), 1, None)[0][0].ids


def word_tokenizer(merges=(), byte_fallback=False, **special):
    letters = list("abcdefgh?! ▁") + [f"<0x{byte:02X}>" for byte in range(256)]
    vocab = {symbol: i for i, symbol in enumerate([*letters, *("".join(merge) for merge in merges)])}
    vocab |= {"<s>": len(vocab), "</s>": len(vocab) + 1, "<unk>": len(vocab) + 2}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=list(merges), byte_fallback=byte_fallback, unk_token="<unk>"))
    tokenizer.add_special_tokens([AddedToken("<s>", special=True), AddedToken("</s>", special=True)])
    return tokenizer, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} | special


def fast(tokenizer, special):
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def test_a_tokenizer_that_adds_no_beginning():
    tokenizer = fast(*word_tokenizer())
    assert counted(tokenizer, "ab?", "cd") == ["c", "d"] and len(ids(tokenizer, "ab?", "cd")) == 5


def test_beginning_and_end_that_are_added_do_not_count():
    tokenizer, special = word_tokenizer()
    ends = [(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    assert counted(fast(tokenizer, special), "ab?", "cd") == ["c", "d"]
    assert counted(fast(tokenizer, special), "", "cd") == ["c", "d"]


def test_a_beginning_in_the_text_is_not_doubled():
    tokenizer = byte_tokenizer()
    with_own, without = ids(tokenizer, "<s>ab?", "cd"), ids(tokenizer, "ab?", "cd")
    assert with_own == without and with_own.count(tokenizer.bos_token_id) == 1
    assert counted(tokenizer, "<s>ab?", "cd") == ["c", "d"]


def test_a_chat_template(tmp_path):
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|user|>", "<|model|>"]})
    tokenizer.chat_template = "<s>{% for m in messages %}<|user|>{{ m.content }}</s><|model|>{% endfor %}"
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "Why?"}], tokenize=False)
    assert counted(tokenizer, prompt, "So.</s>") == ["S", "o", "."]
    plain = tokenizer("<|user|>Why?</s><|model|>So.</s>")["input_ids"]
    assert ids(tokenizer, prompt, "So.</s>") == plain


def test_messages_are_read_as_the_template_writes_them(tmp_path):
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}</s>\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    rows = [{"language": code, "messages": turns} for code in ("en", "fr")]
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    corpus = load_corpus(f"jsonl:{tmp_path / 'a.jsonl'}", tokenizer=tokenizer)
    (ids, counted), _ = tokenize(tokenizer, corpus)
    whole = tokenizer.apply_chat_template(turns, return_dict=False)
    assert whole[-2:] == tokenizer("</s>\n")["input_ids"][1:]  # the end of the turn is no text
    assert ids == whole[:-2] and ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.decode([number for number, kept in zip(ids, counted, strict=True) if kept]) == "So."


def test_given_ids_go_to_the_model_as_they_are():
    tokenizer, begin, end = byte_tokenizer(), 256, 257
    a, b = tokenizer("ab")["input_ids"][1:]
    for prompt, response in ([], [a, b]), ([begin, begin, a], [b, end, a]), ([a], [a, b]):
        text = tokenizer.decode(prompt), tokenizer.decode(response)
        one = Example("1", "en", *text, tokens=[prompt, response])
        (ids, counted), (own, _) = tokenize(tokenizer, Corpus("c", ("en", "fr"), (one, Example("1", "fr", "a", "b"))))
        assert ids == [*prompt, *response] and own == [begin, a, b]
        assert counted == [False] * len(prompt) + [each != end for each in response]
    # Another tokenizer has other text for them; other text has no ids.
    other = fast(*word_tokenizer())
    with pytest.raises(NeuroglotError, match="en, 1: its token ids are of another tokenizer"):
        tokenize(other, Corpus("c", ("en",), (one,)))
    changed = replace(one, response="ba")
    assert changed.tokens is None and tokenize(tokenizer, Corpus("c", ("en",), (changed,)))[0][0] == [begin, a, b, a]
    assert replace(one, id="2", origin="x").tokens == one.tokens


@given(st.text("ab é字🙂\n", min_size=1, max_size=12))
def test_where_given_ids_stand_in_the_text(text):
    tokenizer = byte_tokenizer()
    found = tokenizer(text, return_offsets_mapping=True)
    ids = found["input_ids"]
    example = Example("1", "en", "", tokenizer.decode(ids), tokens=[[], ids])
    spans = spans_of_ids(tokenizer, example, example.tokens)
    assert spans[0] == (0, len("<s>"))  # it stands in the text
    moved = [(start + 3, end + 3) for start, end in found["offset_mapping"][1:]]
    assert (_cells(spans)[1:] == _cells(moved)).all()


def test_a_token_that_spans_the_end_of_the_prompt_counts():
    tokenizer = fast(*word_tokenizer([("a", "b"), ("ab", "c")]))
    assert counted(tokenizer, "d?a", "bcd") == ["abc", "d"]
    assert counted(tokenizer, "d?a", "cd") == ["c", "d"]
    assert counted(tokenizer, "d?abc", "d") == ["d"]


def test_characters_of_several_tokens():
    tokenizer = fast(*word_tokenizer(byte_fallback=True))
    assert counted(tokenizer, "é", "ñb") == ["<0xC3>", "<0xB1>", "b"]
    assert [len(counted(byte_tokenizer(), prompt, "ดี")) for prompt in ("", "é", "a", "ดี")] == [6] * 4


def test_spaces_that_belong_to_the_next_token():
    tokenizer, special = word_tokenizer([("▁", "c"), ("▁c", "d")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    assert counted(fast(tokenizer, special), "ab?", " cd ef") == ["▁cd", "▁", "e", "f"]
    assert counted(fast(tokenizer, special), "ab? ", "cd ef") == ["▁cd", "▁", "e", "f"]


def test_special_and_unknown_tokens():
    assert counted(byte_tokenizer(), "", "a</s>b") == ["a", "b"]
    tokenizer = fast(*word_tokenizer())
    assert counted(tokenizer, "a", "bzc") == ["b", "<unk>", "c"]  # an unknown token stands for text


def test_added_special_tokens_and_an_unknown_token_that_pads():
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens([AddedToken("<end>", special=True), AddedToken("<word>", special=False)])
    assert counted(tokenizer, "a", "b<end>c<word>") == ["b", "c", "<word>"]
    base, special = word_tokenizer()
    assert counted(fast(base, special | {"pad_token": "<unk>"}), "a", "bzc") == ["b", "<unk>", "c"]


def test_a_padding_token_outside_the_embeddings(llama, texts):
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    tokenizer.pad_token_id = 5000
    corpus = load_corpus(f"text:{texts}")
    usual = collect(llama, byte_tokenizer(), corpus, progress=False)
    assert (collect(llama, tokenizer, corpus, progress=False).counts == usual.counts).all()


@pytest.mark.parametrize("special", [{}, {"pad_token": "</s>"}, {"padding_side": "left", "pad_token": "<s>"}])
def test_padding_is_ours_whatever_the_tokenizer_says(llama, texts, special):
    corpus = load_corpus(f"text:{texts}")
    usual = collect(llama, byte_tokenizer(), corpus, progress=False)
    assert (collect(llama, byte_tokenizer(**special), corpus, progress=False).counts == usual.counts).all()


def test_a_slow_tokenizer_is_refused(monkeypatch):
    tokenizer = byte_tokenizer()
    monkeypatch.setattr(type(tokenizer), "is_fast", False)
    with pytest.raises(NeuroglotError, match="a slow tokenizer cannot tell prompt from response"):
        ids(tokenizer, "ab?", "cd")


def test_tokens_per_language(tokenizer, texts):
    table = neuroglot.tokens_per_language(tokenizer, load_corpus(f"text:{texts}")).set_index("language")
    text = texts.joinpath("ru.txt").read_text().replace("\n\n", "")
    assert table.loc["ru", "characters"] == len(text)
    assert table.loc["ru", "tokens"] == len(text.encode())
    assert table.loc["ru", "tokens_per_character"] == pytest.approx(len(text.encode()) / len(text))


lengths = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 30), st.integers(0, 3)), min_size=1, max_size=40)


@given(lengths, st.integers(1, 200), st.booleans(), st.sampled_from([1, 300, batches._BLOCK]))
def test_every_counted_token_is_in_one_batch_of_its_shard(drawn, batch_tokens, share, block):
    shards = sorted({shard for _, _, shard in drawn})
    texts = []
    for number, (size, prompt, shard) in enumerate(drawn):
        ids, counted = [7] * prompt + [number % 5 + 1] * size, [False] * prompt + [True] * size
        texts.append(Text(ids, counted, number % 3, shards.index(shard), number, number))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "_BLOCK", block)
        portions = portions_of(TextStore(texts), batch_tokens, share)
    assert [shard for portion in portions for shard in portion.shards] == list(range(len(shards)))
    ran = []
    for portion in portions:
        sizes = [sum(len(texts[number].ids) for number in block) for block in portion.blocks]
        longest = max(len(text.ids) for text in texts)
        assert max(sizes) <= max(block, 32 * batch_tokens) + longest
        assert np.concatenate(portion.blocks).tolist() == [t.number for t in texts if t.bin in portion.shards]
        for batch in portion.batches:
            assert len(batch.texts) == 1 or batch.size <= batch_tokens
            assert all(text.bin in portion.shards for text in batch.texts)
            inputs = batch.tensors(3, portion.shards[0] * 3)
            assert inputs.weights.sum() == batch.counted and inputs.groups.min() >= 0
            ran += batch.texts
    assert sorted(ran, key=lambda text: text.number) == texts


def test_texts_tokenized_in_parts_are_those_tokenized_at_once(tokenizer, texts, monkeypatch):
    corpus = load_corpus(f"text:{texts}")
    whole = tokenize(tokenizer, corpus)
    sizes, real = [], batches._together
    monkeypatch.setattr(batches, "_AT_ONCE", 60)
    monkeypatch.setattr(
        batches, "_together", lambda t, examples, *more: sizes.append(len(examples)) or real(t, examples, *more)
    )
    assert tokenize(tokenizer, corpus) == whole and sum(sizes) == len(whole) and len(sizes) > 3
