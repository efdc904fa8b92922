"""What a book will take, from the tokens of each chapter and the speed of a model."""

from pathlib import Path

import pytest

from neuroglot import NeuroglotError, load_corpus, load_model
from neuroglot.alignment.training import recipe_of
from neuroglot.book import chapters, estimate
from neuroglot.book.estimate import START, TOKENS, Amounts, Estimate
from neuroglot.model.batches import texts_of

ROOT = Path(__file__).parents[2]
DEFAULTS = estimate.defaults(ROOT)


def amounts(languages=10, documents=60, tokens=100.0, **given):
    return Amounts(DEFAULTS | given, languages, documents, tokens, recipe_of("small"))


def test_defaults_are_those_of_the_notebooks():
    assert DEFAULTS["held_out_share"] == 0.2 and DEFAULTS["strengths"] == {"amplify": [0, 4, 8], "set": [0, 1, 2]}
    assert DEFAULTS["corpus"] == "problems" and DEFAULTS["choices"] == ["zh,de"] and DEFAULTS["after"] is None


def test_tokens_of_each_chapter():
    """Of ten languages, 60 documents of 100 tokens each; worked out by hand."""
    of = amounts()
    assert TOKENS["04-neurons"](of) == (60 * 1000 + 2 * 6 * 1000, 0)
    assert TOKENS["01-activations"](of) == (48 * 1000 + 4 * 10 * 500, 4 * 1000)
    # One set in ten languages, another in its own; three draws and two of each; a half and a quarter in three orders.
    cells = (1 + 10) * 10 + 10 + 2 * (3 + 2) * 10 + 3 * 2 * 10
    losses = (50 + 24) * (cells * 12 + (1 + 2 * 10) * 10 * 4)
    chosen = 100 * 10 * (2 + 3) * (12 + 2 * 4)  # the model as it is, without the own set, and three draws
    answers = 2 * (10 * (2 + 2) + 10 * 9) * 100
    assert TOKENS["05-deactivation"](of) == (losses + chosen, 0)
    assert TOKENS["05-deactivation"](amounts(answer_questions=2)) == (losses + chosen + answers, answers)
    whole = TOKENS["05-deactivation"](amounts(response_tokens=None))[0]
    assert whole == losses * 100 / 74 + chosen
    second = TOKENS["05-deactivation"](amounts(second="udhr", second_options={"articles": 30}))[0]
    assert second == losses + chosen + ((1 + 10) * 10 + 10 + 2 * 3 * 10) * 30 * 24
    more = TOKENS["05-deactivation"](
        amounts(answer_questions=2, more_questions={"n": 50, "seed": 3})
    )  # ten of them of held-out wordings
    assert more == (losses + chosen + answers + 10 * 10 * 500, answers + 10 * 1000)
    responses = 8 * (1 + 3 * 2 * (6 + 2))  # six of the two strengths fixed beforehand, two of the two others
    assert TOKENS["06-steering"](of) == (3 * 1000 + 2 * responses * 200 + responses * 24, responses * 24)
    assert TOKENS["06-steering"](amounts(targets="de zh", prompts=1))[1] == (1 + 2 * 2 * (6 + 2)) * 24
    training = 2 * 16 * 4 * 2 * 4 * 100
    measured = training + 3 * 3 * 12_000 + 2 * 48_000
    assert TOKENS["07-alignment"](of) == (measured, 0) and TOKENS["08-spontaneous"](of) == (0, 0)
    asked = amounts(answered_again=4)
    assert TOKENS["07-alignment"](asked) == (measured + 2 * 4 * 10 * 500, 2 * 4 * 1000)
    assert TOKENS["08-spontaneous"](asked) == (3 * 2 * 3 * 1000, 0)
    assert TOKENS["07-alignment"](amounts(measured_documents=5))[0] == measured - 3 * 3 * 7_000
    assert TOKENS["09-stability"](of) == (2 * 8 * 1000, 0)
    once, removed = 16_000, (1 + 4 * (1 + 2 * 2)) * 10 * 8 * 74
    assert TOKENS["10-detectors"](of) == (2 * once + removed, 0), "two texts, and one of them in two other ways"
    assert TOKENS["10-detectors"](amounts(rewritten=None)) == (once + removed, 0)
    assert TOKENS["10-detectors"](amounts(rewritten=None, claims_also="writing alignment")) == (
        once + removed + 12 * 1000,
        0,
    )
    assert TOKENS["10-detectors"](amounts(rewritten="romanized", detectors="lape attribution")) == (
        1.5 * once * 5 + removed,
        0,
    )
    assert set(TOKENS) <= {chapter.name for chapter in chapters.CHAPTERS}


def test_trainings_of_all_kinds_have_controls_at_every_checkpoint():
    assert amounts().models == (2, 2, 2)
    full = amounts(seeds=[0, 1, 2], chosen_only=True, steps=[8])
    assert full.models == (9, 9, 9 + 2) and amounts(control=False, steps=[4, 8]).models == (1, 1, 3)


def test_less_is_asked_for():
    assert TOKENS["01-activations"](amounts(accuracy_questions=0)) == (48_000, 0)
    assert TOKENS["05-deactivation"](amounts(more_questions={"n": 50})) == TOKENS["05-deactivation"](amounts())
    assert TOKENS["07-alignment"](amounts(after="other")) == (2 * 3 * 12_000 + 48_000, 0)
    assert TOKENS["09-stability"](amounts(domains={}))[0] == 0
    half = amounts(documents=30)
    assert TOKENS["04-neurons"](half)[0] == TOKENS["04-neurons"](amounts())[0] - 30_000


def test_sum_over_chapters(model_folder, texts, monkeypatch):
    monkeypatch.setattr(estimate.Collection, "estimate_seconds", lambda self: 1000.0)
    monkeypatch.setattr(estimate, "_writing", lambda *_: 0.5)
    parameters = {"model": str(model_folder), "corpus": f"text:{texts}"}
    names = [chapter.name for chapter in chapters.CHAPTERS]
    found = estimate.estimate(parameters, names, root=ROOT)
    model, tokenizer = load_model(str(model_folder))
    corpus = load_corpus(f"text:{texts}")
    tokens = [len(text.ids) for text in texts_of(tokenizer, corpus, 20, 256)[0]]
    of = amounts(3, len(tokens) / 3, sum(tokens) / len(tokens))
    for name in names:
        read, written = TOKENS[name](of) if name in TOKENS else (0, 0)
        wanted = START + 1000 * read / sum(tokens) + 0.5 * written
        assert found.seconds[name] == pytest.approx(wanted, abs=30 if name in TOKENS else 0), name  # and loading it
    assert found.memory > 2 * sum(p.numel() * 4 for p in model.parameters())
    few = estimate.estimate(parameters, ["04-neurons"], root=ROOT)
    assert list(few.seconds) == ["04-neurons"] and few.memory < found.memory


def test_no_model_is_loaded_for_chapters_without_one():
    found = estimate.estimate({"model": "/no/model"}, ["02-identification", "index"], root=ROOT)
    assert found == Estimate({"02-identification": START, "index": START}, 0)
    with pytest.raises(NeuroglotError, match="there is no model"):
        estimate.estimate({"model": "/no/model"}, ["01-activations"], root=ROOT)


def test_questions_are_taken_to_be_answered(model_folder, tmp_path):
    rows = "".join(f'{{"language": "{code}", "prompt": "one and one?"}}\n' for code in ("de", "en"))
    (tmp_path / "asked.jsonl").write_text(rows)
    parameters = {"model": str(model_folder), "corpus": f"jsonl:{tmp_path / 'asked.jsonl'}"}
    assert estimate.estimate(parameters, ["01-activations"], root=ROOT).seconds["01-activations"] > START


def test_writing_is_measured(model_folder):
    assert estimate._writing(load_model(str(model_folder))[0], 10) >= 0


def test_in_words():
    said = str(Estimate({"a": 50.0, "b": 1200.0, "c": 7200.0, "d": 1.0}, 3 * 2**30))
    assert said == "about 2.3 h and 3.0 GiB of memory (most: c 2.0 h, b 20 min, a 50 s)"
