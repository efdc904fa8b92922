"""Chats as a template writes them, and token ids as they are."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroglot import Corpus, Example, NeuroglotError, load_corpus

from ..conftest import byte_tokenizer

PLAIN = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}[end]\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
# Writes an empty block of thoughts before the last answer, and leaves out the thoughts of those before.
THINKS = (
    "{% for m in messages %}[{{ m.role }}]"
    "{% if m.role == 'assistant' and loop.last and '[t]' not in m.content %}[t][/t]{% endif %}"
    "{{ m.content if loop.last else m.content.split('[/t]')[-1] }}[end]{% endfor %}"
    "{% if add_generation_prompt %}[assistant]"
    "{% if thinking is defined and not thinking %}[t][/t]{% endif %}{% endif %}"
)
# Says at the beginning how many turns there are.
COUNTS = "{{ messages | length }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"


def turns(*texts, system=None):
    roles = ["user", "assistant"] * len(texts)
    own = [{"role": "system", "content": system}] if system else []
    return own + [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]


def chats(path, *rows, **more):
    """A file with the same chats in two languages."""
    lines = [{"language": code, "messages": row} | more for code in ("en", "de") for row in rows]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return f"jsonl:{path}"


def speaking(template):
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def test_the_last_answer_is_the_response(tmp_path):
    spec = chats(tmp_path / "a.jsonl", turns("Hi.", " Hello. ", "Who?", "I."), turns("2 + 2?", "4"))
    corpus = load_corpus(spec, tokenizer=speaking(PLAIN))
    assert [(e.id, e.prompt, e.response) for e in corpus.examples if e.language == "en"] == [
        ("00001", "<s>[user]Hi.[end]\n[assistant]Hello.[end]\n[user]Who?[end]\n[assistant]", "I."),
        ("00002", "<s>[user]2 + 2?[end]\n[assistant]", "4"),
    ]
    assert corpus.options == {"chat_template_sha256": hashlib.sha256(PLAIN.encode()).hexdigest()}
    assert corpus.prompts_as_read and not load_corpus("problems", n=1).prompts_as_read


def test_arguments_of_the_template_and_a_system_turn(tmp_path):
    spec = chats(tmp_path / "a.jsonl", turns("Hi.", "[t]Hm[/t]Yes?", "2 + 2?", "4"))
    prompt = "[user]Hi.[end][assistant]Yes?[end][user]2 + 2?[end][assistant][t][/t]"
    for how in ({}, {"template": {"thinking": True}}, {"template": {"thinking": False}}):
        corpus = load_corpus(spec, tokenizer=speaking(THINKS), **how)
        assert {(e.prompt, e.response) for e in corpus.examples} == {(prompt, "4")}
        assert {name: value for name, value in corpus.options.items() if name != "chat_template_sha256"} == how
    kind = load_corpus(spec, tokenizer=speaking(THINKS), system="Be kind.")
    assert kind.examples[0].prompt == "[system]Be kind.[end]" + prompt and kind.options["system"] == "Be kind."
    # An answer with thoughts of its own is one; where there are to be none, it is no continuation.
    spec = chats(tmp_path / "b.jsonl", turns("Hi.", "[t]Hm[/t]Yes?"))
    (first, *_) = load_corpus(spec, tokenizer=speaking(THINKS)).examples
    assert (first.prompt, first.response) == ("[user]Hi.[end][assistant]", "[t]Hm[/t]Yes?")
    message = r"b\.jsonl, row 1: the chat template writes the turns before the answer otherwise .*from '\[/t\]'"
    with pytest.raises(NeuroglotError, match=message):
        load_corpus(spec, tokenizer=speaking(THINKS), template={"thinking": False})


def test_turns_that_end_with_a_question_are_questions(tmp_path):
    spec = chats(tmp_path / "a.jsonl", turns("Hi."), turns("A", "B", "C"), answer="4")
    corpus = load_corpus(spec, tokenizer=speaking(PLAIN))
    assert corpus.questions_only and {e.answer for e in corpus.examples} == {"4"}
    assert [e.prompt for e in corpus.examples[:2]] == [
        "<s>[user]Hi.[end]\n[assistant]",
        "<s>[user]A[end]\n[assistant]B[end]\n[user]C[end]\n[assistant]",
    ]


def test_chats_in_csv_are_json_and_the_tokenizer_is_loaded_once(tmp_path):
    path, asked = tmp_path / "a.csv", []
    cell = json.dumps(turns("Hi.", "Oh.")).replace('"', '""')
    path.write_text(f'language,chat\nen,"{cell}"\nde,"{cell}"\n')

    def load():
        asked.append(1)
        return speaking(PLAIN)

    corpus = load_corpus(f"csv:{path}", tokenizer=load, columns={"messages": "chat"})
    assert [e.response for e in corpus.examples] == ["Oh.", "Oh."] and asked == [1]


@pytest.mark.parametrize(
    ("messages", "options", "message"),
    [
        (turns("Hi.", "Oh."), {"tokenizer": None}, "messages are read with the model's tokenizer; give it"),
        (turns("Hi.", "Oh."), {"tokenizer": byte_tokenizer()}, "has no chat template; give prompt and response"),
        (turns("Hi.", "Oh."), {"tokenizer": speaking(COUNTS)}, "turns before the answer otherwise .*from '1"),
        (turns("Hi.", "Oh."), {"template": {"thnking": True}}, "does not read 'thnking'; leave it out"),
        (turns("Hi.", "Oh."), {"template": {"tokenize": True}}, "tokenize is set by the reader"),
        (turns("Hi.", "Oh."), {"template": "{prompt}"}, "messages are written by the tokenizer's chat template"),
        (turns("Hi.", "Oh."), {"template": 5}, "template=5: give text, or arguments of a chat template"),
        (turns("Hi.", "Oh.", system="S"), {"system": "T"}, "it has a turn of the system of its own"),
        (
            turns("Hi.", "Oh."),
            {"tokenizer": speaking(PLAIN.replace("m.content | trim", "m.content | upper"))},
            r"writes the answer otherwise than it stands \('OH",
        ),
        (turns("Hi.", "Oh."), {"tokenizer": speaking("{{ raise_exception('no') }}")}, "refuses these turns .no."),
        (turns("", "Oh.")[1:], {}, "row 1: the assistant's is the only turn"),
        (turns("Hi.", " "), {}, "turn 2: its content is ' '"),
        ([{"role": "user"}], {}, "turn 1: its content is None"),
        ([], {}, r"row 1: the messages are \[\]; give a list of turns"),
        ("[", {}, "the messages are no JSON"),
    ],
)
def test_what_is_no_chat_is_named(tmp_path, messages, options, message):
    spec = chats(tmp_path / "a.jsonl", messages)
    with pytest.raises(NeuroglotError, match=message) as error:
        load_corpus(spec, **{"tokenizer": speaking(PLAIN)} | options)
    assert "\n" not in str(error.value)


def test_text_columns_come_first_unless_others_are_named(tmp_path):
    spec = chats(tmp_path / "a.jsonl", turns("Hi.", "Oh."), prompt="Ho.", response="Ah.")
    assert load_corpus(spec).examples[0].response == "Ah."
    named = {"messages": "messages"}
    assert load_corpus(spec, columns=named, tokenizer=speaking(PLAIN)).examples[0].response == "Oh."
    with pytest.raises(NeuroglotError, match="prompt and response, messages are each a text of their own"):
        load_corpus(spec, columns=named | {"response": "response"})
    with pytest.raises(NeuroglotError, match="system: there is no column of messages"):
        load_corpus(spec, system="Be kind.")


# --- token ids ---------------------------------------------------------------------------------


def of_ids(path, *rows):
    path.write_text("".join(json.dumps({"language": code} | row) + "\n" for code in ("en", "de") for row in rows))
    return f"jsonl:{path}"


@settings(max_examples=80, deadline=None)
@given(st.text("aé字🙂 .", max_size=8).map(lambda text: text + "!"), st.data())
def test_ids_become_the_text_that_they_are_of_and_stay(tmp_path_factory, text, data):
    tokenizer = byte_tokenizer()
    ids = tokenizer(text)["input_ids"]  # begins with <s>
    start = data.draw(st.integers(0, len(ids) - 1))
    path = tmp_path_factory.mktemp("ids")
    one = of_ids(path / "a.jsonl", {"input_ids": ids, "prompt_tokens": start})
    two = of_ids(path / "b.jsonl", {"input_ids": ids[:start], "response_ids": ids[start:]})
    corpus, other = (load_corpus(spec, tokenizer=tokenizer) for spec in (one, two))
    assert corpus.examples == other.examples
    (example, *_) = corpus.examples
    assert example.prompt + example.response == "<s>" + text
    assert (*example.tokens.prompt, *example.tokens.response) == tuple(ids)
    corpus.save(path / "c.jsonl")
    again = Corpus.load(path / "c.jsonl")
    assert again.examples == corpus.examples and again.examples[0].tokens == example.tokens
    assert again.hash == corpus.hash


def test_the_hash_is_also_of_the_ids():
    def text(*ids):
        return Corpus("a", ("en",), (Example("1", "en", "", "ab", tokens=[[], [*ids]]),))

    assert text(1, 2).hash != text(3).hash != Corpus("a", ("en",), (Example("1", "en", "", "ab"),)).hash


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"input_ids": [1, 258]}, "input_ids has the id 258, and the tokenizer those below 258"),
        ({"input_ids": [-1]}, "has the id -1"),
        ({"input_ids": [1.5]}, r"input_ids is \[1.5\]; give a list of token ids"),
        ({"input_ids": [True]}, r"input_ids is \[True\]"),
        ({"input_ids": "[1, 2"}, "input_ids are no JSON"),
        ({"input_ids": [65, 66], "prompt_tokens": 3}, "prompt_tokens is 3; give a whole number up to .* 2"),
        ({"input_ids": [65], "response_ids": [66], "prompt_tokens": 1}, "say the same; give one"),
        ({"response_ids": [65]}, "there is no column 'input_ids'"),
        ({"input_ids": []}, "there is no text in"),
    ],
)
def test_what_are_no_ids_is_named(tmp_path, row, message):
    with pytest.raises(NeuroglotError, match=message):
        load_corpus(of_ids(tmp_path / "a.jsonl", row), tokenizer=byte_tokenizer())
