"""What chapter 04 says of what neurons write: in all, some and no languages, and where nothing can be known."""

import numpy as np
import pandas as pd

from neuroglot.base.uncertainty import LESS, MORE, SAME
from neuroglot.book.findings import writing as findings
from neuroglot.effects.writing import Writing

LANGUAGES = ("en", "de", "fr")


def written(others=(MORE, MORE, MORE), matched=(MORE, MORE, MORE), **tables) -> Writing:
    rows = [
        {"text": text, "language": code, "against": against, "number": 1.0, "low": 0.5, "high": 1.5, "detectable": 0.7}
        | {"verdict": verdict}
        for text in ("all text", "prob_lems", "udhr")
        for against, all_ in (("others", others), ("matched", matched))
        for code, verdict in zip(LANGUAGES, all_, strict=True)
    ]
    numbers = [
        {"text": "all text", "language": code, "of": of, "neurons": 12, "tokens": 34, "units": 5, "number": 1.25}
        for code in LANGUAGES
        for of in ("own", "all")
    ]
    dealt = pd.DataFrame({"text": ["all text"], "contrast": [0.758], "p": [0.0001]})
    layers = pd.DataFrame(
        {"layer": range(4), "own": [0.0, 0.25, 0.25, 0.5], "number": 0.3, "low": 0.2, "high": 0.4, "verdict": SAME}
    )
    check = pd.DataFrame({"language": LANGUAGES, "slope": [1.0, 1.2, 1.5], "correlation": [0.7, 0.8, 0.9]})
    own = {"layers": layers, "tokens": pd.DataFrame(), "check": check, "dealt": dealt}
    return Writing(LANGUAGES, pd.DataFrame(numbers), pd.DataFrame(rows), **(own | tables))


def test_opening():
    assert findings.opening(written()) == (
        "**What a language's neurons add to the logits favours its own tokens more than random neurons that fire as "
        "often do in 3 of 3 languages, and more than as many of the other languages' neurons do in 3 of 3 languages.**"
    )
    assert findings.opening(written((LESS, LESS, MORE), (SAME, None, MORE))) == (
        "**What a language's neurons add to the logits favours its own tokens more than random neurons that fire as "
        "often do in 1 of 2 languages, and more than as many of the other languages' neurons do in 1 of 3 languages.** "
        "The other languages' favour them more than its own do in English, German."
    )
    assert findings.opening(written((SAME,) * 3, (SAME,) * 3)).count("0 of 3") == 2
    assert findings.opening(written((None,) * 3, (None,) * 3)) == (
        "**Whether a language's neurons write its language cannot be known from so little text.**"
    )


def test_table():
    found = findings.table(written((LESS, None, MORE)))
    assert found.columns.tolist() == [
        *("language", "neurons", "own tokens", "number", "less others'", "found from, others'", "verdict, others'"),
        *("less matched", "found from, matched", "verdict, matched"),
    ]
    first = ["en", 12, 34, "+1.25", "+1.00 (+0.50 to +1.50)", "0.70", LESS, "+1.00 (+0.50 to +1.50)", "0.70", MORE]
    assert found.iloc[0].tolist() == first
    assert found["verdict, others'"].tolist() == [LESS, "not known", MORE]


def test_dealt():
    assert findings.dealt(written()) == (
        "Over all languages, a set raises its own language's tokens by 0.76 more than another set does there; dealt to "
        "the languages at random, the sets reach that with a probability of less than 0.001."
    )
    some = written(dealt=pd.DataFrame({"text": ["all text"], "contrast": [0.1], "p": [0.25]}))
    assert findings.dealt(some).endswith("with a probability of 0.250.")
    none = written(dealt=pd.DataFrame({"text": ["all text"], "contrast": [np.nan], "p": [np.nan]}))
    assert findings.dealt(none) == "Too few languages have neurons for the sets to be dealt to the languages at random."


def test_texts():
    same = "With the tokens of {} alone 6 of 6 verdicts are the same."
    assert findings.texts(written()) == f"{same.format('prob&#95;lems')} {same.format('udhr')}"
    few = written()
    few.contrasts.loc[few.contrasts["text"] == "prob_lems", "verdict"] = None
    assert findings.texts(few) == (
        f"The tokens of prob&#95;lems alone are of too few wordings for a verdict. {same.format('udhr')}"
    )
    one = written()
    rows = one.contrasts.query("text == 'all text'")
    assert findings.texts(Writing(LANGUAGES, one.numbers, rows, one.dealt, one.layers, one.tokens, one.check)) == (
        "Tokens are those of one text only."
    )


def layers(verdicts, numbers):
    return {"layers": written().layers.assign(verdict=verdicts, number=numbers)}


def test_by_layer():
    parts = pd.DataFrame({"part": ["reasoning", "output"], "first": [0, 2], "last": [1, 3]})
    late = written(**layers([SAME, MORE, SAME, MORE], [0.01, 0.01, 0.48, 0.5]))
    said = "From layer 2 on there is 95% of what a language's neurons add beyond random ones that fire as often, 50% "
    said += "in the last layer alone."
    alone = "By themselves 2 layers of 4 add more than matched ones (1, 3)."
    assert findings.by_layer(late) == f"{said} {alone}"
    there = "The part *output* of [chapter 03](03-layers.html) begins there."
    assert findings.by_layer(late, parts) == f"{said} {there} {alone}"
    middle = written(**layers([SAME, MORE, MORE, MORE], [0.0, 0.2, 0.4, 0.4]))
    assert findings.by_layer(middle, parts).endswith(
        "The part *reasoning* of [chapter 03](03-layers.html) has layers 0 to 1. By themselves 3 layers of 4 add more "
        "than matched ones (1 to 3)."
    )
    assert findings.by_layer(written(**layers([SAME, None, SAME, LESS], [0.1, None, 0.1, -0.5])), parts) == (
        "All layers together add nothing beyond random neurons that fire as often. By themselves no layers of 4 add "
        "more than matched ones."
    )


def test_by_layer_where_nothing_is_known():
    unknown = [None] * 4
    assert findings.by_layer(written(**layers(unknown, [float("nan")] * 4))) == (
        "In which layers that is cannot be told: no language has neurons beside random ones."
    )
    assert findings.by_layer(written(**layers(unknown, [0.1, 0.2, 0.3, 0.4]))).endswith(
        "Whether a layer by itself adds more than matched ones is not known."
    )


def test_check():
    assert findings.check(written()) == (
        "When the set is really removed, the correlation of how far the logits of own tokens fall with what was "
        "predicted is 0.70 to 0.90 over 3 languages. For each logit predicted 1.00 to 1.50 are lost (median 1.20), for "
        "later layers, left out here, answer too."
    )
    one = written(check=pd.DataFrame({"language": ["en", "de"], "slope": [1.0, np.nan], "correlation": [0.5, np.nan]}))
    assert "is 0.50 over 1 language. For each logit predicted 1.00 are lost" in findings.check(one)
    none = written(check=pd.DataFrame({"language": ["en"], "slope": [np.nan], "correlation": [np.nan]}))
    assert findings.check(none) == "No language has neurons to remove."
