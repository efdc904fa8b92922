import pandas as pd

from neuroglot.book.findings.spontaneous import caveats, opening, summary

NAN = float("nan")
NONE = dict.fromkeys(("null", "null_low", "null_high", "contrast", "contrast_low", "contrast_high"), NAN)
BASIS = (
    "*That is one training against its control, thresholds kept; it holds for another text, not for another training.*"
)


def means(groups, verdict="less", model="aligned on zh", places=("en", "zh", "de"), kinds=("specific",)):
    """A change of each group's neurons by -2, and the languages there are."""
    row = NONE | {"change": -2.0, "low": -3.0, "high": -1.0, "before": 5.0, "after": 3.0, "detectable": 1.5}
    row |= {"verdict": verdict, "model": model, "thresholds": "kept", "trainings": 1, "null": 0.5}
    rows = [row | {"what": "mean", "place": f"mean of {group}", "kind": kind} for group in groups for kind in kinds]
    return pd.DataFrame(rows + [row | {"what": "language", "place": code, "kind": "specific"} for code in places])


def test_whether_other_languages_change():
    assert opening(means(["trained", "others"], kinds=("specific", "related")), ["zh", "sw"], "en") == (
        "**After training on Chinese and Swahili, in another language (English left out): specific neurons less, "
        f"related neurons less.**\n\n{BASIS}"
    )
    assert opening(means(["others"], None, places=["zh"]), ["zh"], "en") == (
        f"**After training on Chinese, in another language: specific neurons not known.**\n\n{BASIS}"
    )
    assert opening(means(["trained"]), ["zh"], "en") == (
        f"**After training on Chinese there is no other language to look at.**\n\n{BASIS}"
    )
    assert opening(means(["all"], model="a*b"), [], "en") == (
        f"**In a language on average (English left out): specific neurons less.**\n\n{BASIS}"
    )


def test_only_the_first_model_opens():
    two = pd.concat([means(["others"]), means(["others"], "more", "other")])
    assert opening(two, ["zh"], "en") == opening(means(["others"]), ["zh"], "en")
    assert summary(two, "en") == summary(means(["others"]), "en")


def test_the_summary_has_a_line_for_each_group():
    words = "specific -2.0 (-3.0 to -1.0), the control +0.5: less."
    found = means(["trained", "others"])
    assert summary(found, "en").split("\n") == [
        f"- Neurons in languages trained on: {words}",
        f"- Neurons in other languages but English: {words}",
        "- Changes are told apart in both groups for specific neurons.",
    ]
    assert summary(means(["trained", "others"], "alike"), "en").split("\n")[-1] == (
        "- Changes are told apart in both groups for no type, so nothing here shows that they spread."
    )
    assert summary(means(["all"]), "en") == f"- Neurons in all languages but English: {words}"
    assert summary(means(["others"], places=["de"]), "en").startswith("- Neurons in other languages: ")


SHARED = "Languages share the top rate: a neuron that becomes one language's pushes another out of the selection."


def test_what_all_of_it_rests_on():
    assert caveats([("zh",)], 1, True, 1, 3, {"before": "No answer was cut off."}) == (
        "1 choice of languages, each with 1 training and as many controls: verdicts are of the text, not of trainings. "
        "Accuracy rests on 1 question of each language, the alignment score on 3. before&#58;&#32;No answer was cut "
        f"off&#46;&#32;{SHARED}"
    )
    assert caveats([("zh",), ("sw",)], 3, True, 5, 0, {}) == (
        "2 choices of languages, each with 3 trainings and as many controls: verdicts are of text and trainings. "
        f"Accuracy rests on 5 questions of each language. {SHARED}"
    )
    assert "with 2 trainings and no control: verdicts" in caveats([("zh",)], 2, False, 0, 0, {})
    assert caveats([()], 1, False, 0, 0, {}) == (
        f"The model was aligned elsewhere, so which languages it was trained on is not known here. {SHARED}"
    )
