import pandas as pd

from neuroglot.alignment.training import PRESETS, recipe_of
from neuroglot.book.findings.alignment import (
    beside_paper,
    caveats,
    left_out,
    notes,
    opening,
    pairs_seen,
    summary,
)


def test_what_was_left_out_is_said():
    row = {"measure": "change in score", "model": "m", "left_out": 1}
    table = pd.DataFrame([row | {"language": "de"}, row | {"language": "mean of all"}, row | {"left_out": 0}])
    table["language"] = ["de", "mean of all", "fr"]
    assert left_out(table) == "*Left out, since one of the models compared has no value there: m, score: 1 text in de.*"
    assert "m&#42;, score" in left_out(table.assign(model="m*"))
    assert "3 texts in &#60;b&#62;." in left_out(table.assign(language="<b>", left_out=3)[:1])
    assert left_out(table[table["left_out"] == 0]) == ""


NAN = float("nan")
NONE = dict.fromkeys(("low", "high", "null", "contrast", "contrast_low", "contrast_high", "detectable"), NAN)


def changed(*verdicts, thresholds=("kept",), models=("aligned on zh",), trainings=1, control=True):
    """Changes of specific, related and general neurons, and as many changes in two layers."""
    rows = []
    for name in models:
        for mode in thresholds:
            for kind, by, verdict in zip(("specific", "related", "general"), (-2.0, 3, 0), verdicts, strict=True):
                row = NONE | {"kind": kind, "before": 1200.0, "after": 1200 + by, "change": by, "low": by - 1}
                row |= {"high": by + 1, "verdict": verdict, "model": name, "thresholds": mode, "trainings": trainings}
                row |= (
                    {"null": 1.0, "contrast": by - 1, "contrast_low": by - 3, "contrast_high": by + 1}
                    if control
                    else {}
                )
                rows += [row | {"what": "all", "place": "", "detectable": 4.0}]
                rows += [row | {"what": "layer", "place": layer} for layer in (0, 1)]
    return pd.DataFrame(rows)


def test_whether_the_numbers_change():
    said = "**After alignment on Chinese and Swahili: specific neurons less, related neurons not told apart.**\n\n"
    assert opening(changed("less", "not told apart", "more"), ["zh", "sw"]) == said + (
        "*That is one training against its control, thresholds kept; it holds for another text, not for another "
        "training.*"
    )
    alone = opening(changed("alike", None, "more", control=False), [])
    assert alone == (
        "**After alignment (the model aligned on zh): specific neurons alike, related neurons not known.**\n\n"
        "*That is one training against the model before, thresholds kept; it holds for another text, not for another "
        "training.*"
    )
    assert "(the model a&#42;)" in opening(changed(None, None, None, models=("a*", "b")), [])


def test_of_several_trainings_another_one_is_spoken_of():
    basis = "*That is 3 trainings against {}, thresholds solved; it holds for another text and another training.*"
    many = changed("more", "more", "more", thresholds=("solved",), trainings=3)
    assert opening(many, ["zh"]).split("\n\n")[1] == basis.format("their controls")
    many = changed("more", "more", "more", thresholds=("solved",), trainings=3, control=False)
    assert opening(many, ["zh"]).split("\n\n")[1] == basis.format("the model before")


def test_only_the_first_thresholds_and_model_open():
    both = changed("more", "less", None, thresholds=("kept", "solved"), models=("aligned on zh", "other"))
    assert opening(both, ["zh"]) == opening(changed("more", "less", None), ["zh"])


TOTALS = (
    "- Neurons of each type: specific -2 (-3 to -1), the control +1: less; related +3 (+2 to +4), the control +1: not "
    "told apart (80 % would find 4); general +0 (-1 to +1), the control +1: not known."
)
NO_STYLE = (
    "- Style or preference: no model was trained on the chosen answers alone (`chosen_only`), so they are not told "
    "apart here."
)


def test_the_summary_has_a_line_for_types_layers_and_style():
    both = changed("less", "not told apart", None, thresholds=("kept", "solved"), models=("aligned on zh", "other"))
    layers = "- Types in layers: of 4 changes that can be judged, 2 are told apart."
    assert summary(both).split("\n") == [TOTALS, layers, NO_STYLE]


def test_style_is_told_from_preference_where_it_was_trained():
    models = ("aligned on zh", "aligned on zh, less chosen only", "zh, chosen only")
    line = summary(changed("less", "alike", None, models=models)).split("\n")[2]
    assert line == (
        "- Style or preference: less the training on the chosen answers alone, specific neurons -3 (-5 to -1), less; "
        "related neurons +2 (+0 to +4), alike."
    )


def test_neurons_of_one_language_beside_the_papers():
    row = {"change": -0.01, "low": -0.02, "high": 0.005, "control": 0.001, "paper": -0.048}
    table = pd.DataFrame([row], index=[1])
    assert beside_paper(table) == (
        "Neurons active in one language change by -1.0% (-2.0% to +0.5%), by +0.1% after the control's training; in "
        "the paper by -4.8%."
    )
    assert beside_paper(table.assign(control=NAN, low=NAN).drop(columns="paper")) == (
        "Neurons active in one language change by -1.0% (no interval)."
    )


REST = (
    "Intervals cover the choice of text alone: another seed gives another model, and 3 trainings of each kind "
    "(`seeds`) say by how much."
)
WORDING = "Its questions share no wording with the held-out text, but may with the text that neurons are counted on. "


def test_what_all_of_it_rests_on():
    assert caveats(recipe_of("small", {"steps": 48, "batch": 8}), 1, True) == (
        "The training has 48 steps of 8 pairs, the paper's has 1,000 of 16, on models of 7 billion parameters: nothing "
        f"here contradicts or confirms what theirs did. {WORDING}{REST}"
    )
    assert caveats(PRESETS["paper"], 2, True) == WORDING + REST
    assert caveats(None, 1, False) == "There is no control, so a change may be any training's. " + REST
    assert caveats(None, 3, True) == (
        "Intervals cover the choice of text and, with 3 trainings of each kind, that of the training."
    )


def test_notes_on_what_is_compared():
    nothing = pd.DataFrame([{"measure": "x", "model": "m", "language": "de", "left_out": 0, "units": 1}])
    assert notes([], {}, nothing) == ""
    said = notes([("a*", "change in log-perplexity")], {"before": "No answer was cut off."}, nothing.assign(left_out=1))
    assert said.split("\n\n") == [
        "*a&#42; has another tokenizer, so its change in log-perplexity is not to be compared.*",
        "*before&#58;&#32;No answer was cut off&#46;*",
        "*Left out, since one of the models compared has no value there: m, x: 1 text in de.*",
    ]


def test_how_many_pairs_a_training_sees():
    assert pairs_seen(32) == "The training sees 32 of them, drawn at random. The first one:"
