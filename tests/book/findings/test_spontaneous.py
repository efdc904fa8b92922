import pandas as pd

from neuroglot.book.findings.spontaneous import caveats, opening, summary

NAN = float("nan")
NONE = {"low": NAN, "high": NAN, "null": NAN, "again_low": NAN, "again_high": NAN, "before": 5.0, "after": 3.0}


def means(groups, verdict="beyond noise", model="aligned on zh", places=("en", "zh", "de"), kinds=("specific",)):
    """A change of each group's neurons by -2, and the languages there are."""
    row = NONE | {"change": -2.0, "low": -3.0, "high": -1.0, "verdict": verdict, "model": model, "thresholds": "kept"}
    rows = [row | {"what": "mean", "place": f"mean of {group}", "kind": kind} for group in groups for kind in kinds]
    return pd.DataFrame(rows + [row | {"what": "language", "place": code, "kind": "specific"} for code in places])


def test_whether_other_languages_change():
    words = "by -2.0 (-3.0 to -1.0), beyond noise"
    assert opening(means(["trained", "others"], kinds=("specific", "related")), ["zh", "sw"], "en") == (
        "**With the thresholds kept, after training on Chinese and Swahili the other languages change in their "
        "specific and related neurons beyond noise. The numbers change on average: in another language, specific "
        f"neurons {words}, and related neurons {words}; in a language trained on, specific neurons {words}, "
        f"and related neurons {words} (English is left out).**"
    )
    assert opening(means(["others"], "not beyond noise", places=["zh"]), ["zh"], "en") == (
        "**With the thresholds kept, after training on Chinese the other languages do not change beyond noise. The "
        "numbers change on average: in another language, specific neurons by -2.0 (-3.0 to -1.0), not beyond noise.**"
    )


def test_whether_other_languages_change_may_not_be_known():
    assert " the other languages are not known to change. " in opening(
        means(["others"], "cannot be told"), ["zh"], "en"
    )
    missing = opening(means(["others"], "cannot be told").assign(low=NAN, high=NAN, change=NAN), ["zh"], "en")
    assert missing.endswith(
        "in another language, specific neurons by no number, cannot be told (English is left out).**"
    )
    assert ", after training on Chinese there is no other language to look at. " in opening(
        means(["trained"]), ["zh"], "en"
    )
    assert opening(means(["all"], model="a*b"), [], "en") == (
        "**With the thresholds kept, which languages the model a&#42;b was trained on is not known here. The numbers "
        "change on average: in a language, specific neurons by -2.0 (-3.0 to -1.0), beyond noise (English is left "
        "out).**"
    )


def test_only_the_first_model_opens():
    two = pd.concat([means(["others"]), means(["others"], "not beyond noise", "other")])
    assert opening(two, ["zh"], "en") == opening(means(["others"]), ["zh"], "en")


def test_the_summary_has_a_line_for_each_model_and_measure():
    answers = pd.DataFrame(
        [
            NONE | {"language": place, "change": change, "low": NAN, "verdict": "cannot be told"}
            for place, change in (("mean of trained", 0.25), ("mean of others", NAN), ("de", 0.5))
        ]
    ).assign(measure="change in accuracy", model="aligned on zh")
    line = (
        "- **aligned on zh**, thresholds kept, means: specific neurons in languages trained on -2.0 (-3.0 to -1.0): "
        "beyond noise; specific neurons in other languages but English -2.0 (-3.0 to -1.0): beyond noise."
    )
    found = means(["trained", "others"])
    assert summary(found, None, "en") == line
    assert summary(found, answers, "en").split("\n") == [
        line,
        "- **aligned on zh**, mean change in accuracy in languages trained on: +0.25: cannot be told.",
    ]
    two = summary(pd.concat([found, means(["all"], model="b*")]), answers[:0], "en").split("\n")
    assert two[0] == line and two[1].startswith(
        "- **b&#42;**, thresholds kept, means: specific neurons in all languages"
    )
    assert " in other languages -2.0" in summary(means(["others"], places=["de"]), None, "en")


SHARED = "Languages share the top rate: a neuron that becomes one language's pushes another out of the selection."


def test_what_all_of_it_rests_on():
    found = means(["trained", "others"])
    one = caveats(found, [("zh",)], 1, 1, 3, {"before": "No answer was cut off."})
    assert one == (
        "Beyond noise in both groups: in aligned on zh (kept), specific neurons of the others change as those of the "
        "trained. 1 choice of languages and 1 seed were trained; a training differs with its seed, and no interval "
        "here covers that (the parameters `choices` and `seeds` of chapter 07 give more), nor that the control is one "
        "training. Accuracy rests on 1 question of each language, the alignment score on 3. before&#58;&#32;No answer "
        f"was cut off&#46;&#32;{SHARED}"
    )
    against = found.assign(change=[2.0, *[-2.0] * (len(found) - 1)])
    assert "specific neurons of the others change against those of the trained. " in caveats(
        against, [("zh",)], 1, None, 0, {}
    )
    many = caveats(means(["trained", "others"], "not beyond noise"), [("zh",), ("sw",)], 2, 5, 0, {})
    assert many == (
        "In no case are changes beyond noise in both groups, so nothing here shows that they spread. 2 choices of "
        f"languages and 2 seeds were trained. Accuracy rests on 5 questions of each language. {SHARED}"
    )


def test_where_nothing_was_trained_or_answered():
    assert caveats(means(["all"]), [()], 1, None, 0, {}) == (
        f"The model was aligned elsewhere, so which languages it was trained on is not known here. {SHARED}"
    )
    missing = means(["trained", "others"], "cannot be told").assign(change=NAN)
    assert caveats(missing, [("zh",)], 2, None, 0, {"before": "unused"}) == (
        "In no case are changes beyond noise in both groups, so nothing here shows that they spread. 1 choice of "
        f"languages and 2 seeds were trained. {SHARED}"
    )
