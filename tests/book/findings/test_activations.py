"""What chapter 01 says of one language and many, with and without halves, questions and a detector."""

import numpy as np
import pandas as pd

from neuroglot import ActivationStats, Corpus, Example
from neuroglot.book.findings import activations as findings
from neuroglot.counts.halves import compare_halves

COUNTS = np.array([[[[1, 4], [3, 2], [0, 0]]], [[[3, 6], [5, 3], [0, 0]]]])
STATS = ActivationStats(COUNTS, np.array([[10, 10], [10, 10]]), ("en", "de"))
PURE = pd.DataFrame({"language": ["en", "de"], "agree": [10, 9], "purity": [1.0, 0.95]}).astype({"agree": "Int64"})
SCORE = pd.DataFrame(
    {
        "language": ["en", "en", "en", "de", "de", "de"],
        "group": ["level 1", "level 2", "all"] * 2,
        "questions": [4, 4, 8] * 2,
        "accuracy": [0.75, 0.0, 0.375, 0.25, 0.0, 0.125],
        "low": [0.5, 0, 0, 0, 0, 0],
        "high": [1, 0, 0, 0.25, 0, 0],
    }
)
REST = (
    "A token activates 22.5% of the 3 neurons on average, most in German (25.0%) and least in English (20.0%); 33.33% "
    "of them never fire in this text. All this rests on 40 tokens: other text gives other probabilities, and the "
    "intervals in this book only cover the choice of documents within it. "
)
NO_MIX = "No language's purity is below 95 % where it could be checked."


def test_this_run():
    both = [Example(str(i), code, "", "x") for code in ("en", "de") for i in range(1200)]
    text = Corpus("text:x", ("en", "de"), tuple(both))
    assert findings.this_run(text, text.take(["3"])) == (
        "**This run** reads text&#58;x: 1,200 documents in 2 languages (en&#44;&#32;de), 1 of them held out."
    )


def test_opening():
    alone = STATS.take([0])
    assert findings.opening(alone, compare_halves(alone)) == (
        "**A neuron of this model is active at 16.7% of the tokens on average, most in German (20.0%) and least in "
        "English (13.3%); how far that depends on the choice of text cannot be told here.**"
    )
    assert findings.opening(STATS, compare_halves(STATS)) == (
        "**A neuron of this model is active at 22.5% of the tokens on average, most in German (25.0%; in two halves "
        "of the text 20.0% and 30.0%) and least in English (20.0%; in two halves of the text 13.3% and 26.7%); the "
        "two halves differ in a neuron's probability by 0.147 (root mean square; independent tokens would differ by "
        "0.167).**"
    )


def test_languages_may_be_equally_active():
    same = ActivationStats(COUNTS[..., [0, 0]], np.array([[10, 10], [10, 10]]), ("en", "de"))
    said = "**A neuron of this model is active at 20.0% of the tokens on average, alike in every language; "
    assert findings.opening(same, compare_halves(same)).startswith(said)
    assert "on average, alike in every language; 33.33%" in findings.summary(same, PURE, SCORE)


def test_apart():
    assert findings.apart(None) == (
        "A half of the text lacks a language, or there is only one shard, so halves cannot be compared."
    )
    assert findings.apart(compare_halves(STATS)) == (
        "Two halves of the text differ by 0.147 in a probability (root mean square), where independent tokens would "
        "differ by 0.167; the correlation of the two estimates is 0.970."
    )


def test_caveats():
    assert findings.caveats([{"language": "en", "cut_off": False}]) == "*No answer was cut off&#46;*"
    assert findings.caveats([]) == ("*How many answers were cut off at the limit of tokens was not recorded&#46;*")


def test_summary_of_many_questions():
    assert findings.summary(STATS, PURE, SCORE) == (
        f"{REST}Of 4 questions of level 1 in each language, the model gets half or more right in 1 of 2 languages "
        f"(en); a language's interval is 38 percentage points wide on average. {NO_MIX}"
    )


def test_summary_of_one_question_and_mixed_text():
    one = SCORE[SCORE["group"] == "all"].assign(questions=1, accuracy=[0.0, np.nan])
    mixed = PURE.assign(purity=[0.9, 1.0])
    assert findings.summary(STATS, mixed, one) == (
        f"{REST}Of 1 question of all in each language, the model gets half or more right in 0 of 1 languages (none); "
        "one question has no interval. The purity of some languages is below 95 %, and their counts are mixed "
        "accordingly."
    )


def test_summary_without_questions_or_detector():
    unknown = PURE.assign(agree=pd.array([pd.NA, 9], dtype="Int64"), purity=[np.nan, 1.0])
    end = f"{REST}{NO_MIX} The detector does not know en."
    assert findings.summary(STATS, unknown, SCORE[:0]) == end
    assert findings.summary(STATS, unknown, SCORE.assign(accuracy=np.nan)) == end
