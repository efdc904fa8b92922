import pandas as pd

from neuroglot.alignment.training import PRESETS, recipe_of
from neuroglot.book.findings.alignment import caveats, left_out, notes, opening, pairs_seen, summary


def test_what_was_left_out_is_said():
    row = {"measure": "change in score", "model": "m", "left_out": 1, "units": 3}
    table = pd.DataFrame([row | {"language": "de"}, row | {"language": "mean of all"}, row | {"left_out": 0}])
    table["language"] = ["de", "mean of all", "fr"]
    assert left_out(table) == (
        "*Left out, since one of the models compared has no value there: m, score: 1 of 4 in de.*"
    )
    assert "m&#42;, score" in left_out(table.assign(model="m*"))
    assert "in &#60;b&#62;." in left_out(table.assign(language="<b>")[:1])
    assert left_out(table[table["left_out"] == 0]) == ""


NAN = float("nan")
NONE = {"low": NAN, "high": NAN, "null": NAN, "again_low": NAN, "again_high": NAN}


def changed(*verdicts, thresholds=("kept",), change=(-2.0, 3.0, 0.0), models=("aligned on zh",)):
    """Changes of specific, related and general neurons, and as many changes in two layers."""
    rows = []
    for name in models:
        for mode in thresholds:
            for kind, by, verdict in zip(("specific", "related", "general"), change, verdicts, strict=True):
                row = NONE | {"kind": kind, "before": 1200.0, "after": 1200 + by, "change": by, "low": by - 1}
                row |= {"high": by + 1, "verdict": verdict, "model": name, "thresholds": mode}
                rows += [row | {"what": "all", "place": ""}]
                rows += [row | {"what": "layer", "place": layer} for layer in (0, 1)]
    return pd.DataFrame(rows)


YES, NO, UNKNOWN = "beyond noise", "not beyond noise", "cannot be told"
NUMBERS = (
    "with the thresholds kept: specific from 1,200 to 1,198, by -2 (-3 to -1), {}; related from 1,200 to 1,203, by +3 "
    "(+2 to +4), {}.**"
)


def test_whether_the_numbers_change():
    said = "**Alignment on Chinese and Swahili changes the numbers of specific and related neurons beyond noise, "
    assert opening(changed(YES, YES, NO), ["zh", "sw"]) == said + NUMBERS.format(YES, YES)
    said = "**Alignment on Chinese changes the number of related neurons beyond noise, "
    assert opening(changed(NO, YES, NO), ["zh"]) == said + NUMBERS.format(NO, YES)
    said = "**Alignment on Chinese changes neither the number of specific nor that of related neurons beyond noise, "
    assert opening(changed(NO, NO, YES), ["zh"]) == said + NUMBERS.format(NO, NO)


def test_whether_the_numbers_change_may_not_be_known():
    said = "**Alignment on Chinese is not known to change the number of specific or of related neurons, "
    assert opening(changed(UNKNOWN, NO, NO), ["zh"]) == said + NUMBERS.format(UNKNOWN, NO)
    missing = opening(changed(UNKNOWN, UNKNOWN, NO).assign(low=NAN, high=NAN), ["zh"])
    assert missing.endswith("specific from 1,200 to 1,198, by -2, cannot be told; related from 1,200 to 1,203, by +3, "
                            "cannot be told.**")  # fmt: skip
    elsewhere = opening(changed(NO, NO, NO, models=("a*", "b")), [])
    assert elsewhere.startswith("**Alignment (the model a&#42;) changes neither the number of specific nor")


def test_only_the_first_thresholds_open():
    both = changed(YES, YES, NO, thresholds=("kept", "solved"), models=("aligned on zh", "other"))
    assert opening(both, ["zh"]) == opening(changed(YES, YES, NO), ["zh"])


def measured(change, model="aligned on zh", language="mean of all"):
    row = NONE | {"before": 1.0, "after": 2.0, "change": change, "verdict": UNKNOWN}
    return row | {"measure": "change in accuracy", "model": model, "language": language}


def test_the_summary_has_a_line_for_each_thresholds_and_measure():
    line = (
        "- **aligned on zh**, thresholds {}: specific 1,200 to 1,198, -2 (-3 to -1): beyond noise; related 1,200 to "
        "1,203, +3 (+2 to +4): not beyond noise; general 1,200 to 1,200, +0 (-1 to +1): cannot be told."
    )
    rows = [measured(0.25), measured(0.5, language="de"), measured(0.5, "other"), measured(NAN)]
    both = changed(YES, NO, UNKNOWN, thresholds=("kept", "solved"), models=("aligned on zh", "other"))
    assert summary(both, pd.DataFrame(rows), "aligned on zh").split("\n") == [
        line.format("kept"),
        line.format("solved"),
        "- Change in accuracy, on average over languages: +0.250: cannot be told.",
    ]
    for none in (pd.DataFrame(rows)[:0], pd.DataFrame(rows)[3:]):
        assert summary(changed(YES, NO, UNKNOWN), none, "aligned on zh") == line.format("kept")


def moves(*rows):
    return pd.DataFrame(rows, columns=["model", "thresholds", "before", "after", "neurons"])


REST = "Intervals cover the choice of text; only repeated seeds cover a training's own chance, and the control is one."
WORDING = "Its questions share no wording with the held-out text, but may with the text that neurons are counted on. "


def test_what_all_of_it_rests_on():
    turned = moves(
        ("aligned on zh", "kept", "specific", "related", 1234),
        ("aligned on zh", "kept", "specific", "general", 5),
        ("aligned on zh", "solved", "specific", "related", 6),
        ("a*", "kept", "specific", "related", 0),
    )
    both = changed(YES, NO, UNKNOWN, thresholds=("kept", "solved"))
    assert caveats(both, turned, recipe_of("small", {"steps": 48, "batch": 8})) == (
        "The paper finds fewer specific and more related neurons after alignment: the signs here agree with thresholds "
        "kept and solved; the verdicts above say whether that is more than noise. Thresholds kept: 2 of 6 changes of a "
        "type in a layer are beyond noise; thresholds solved: 2 of 6 changes of a type in a layer are beyond noise (of "
        "so many, a few would be by chance). Specific neurons that became related (thresholds kept): aligned on zh "
        "1,234; a&#42; 0. The training has 48 steps of 8 pairs, the paper's has 1,000 of 16, on models of 7 billion "
        f"parameters: nothing here contradicts or confirms what theirs did. {WORDING}{REST}"
    )


def test_the_papers_training_and_none():
    start = (
        "The paper finds fewer specific and more related neurons after alignment: the signs here do not agree with "
        "thresholds kept; the verdicts above say whether that is more than noise. Thresholds kept: 0 of 6 changes of a "
        "type in a layer are beyond noise (of so many, a few would be by chance). Specific neurons that became related "
        "(thresholds kept): m 1. "
    )
    one = moves(("m", "kept", "specific", "related", 1))
    for change in ((2.0, 3.0, 0.0), (NAN, NAN, NAN)):
        assert caveats(changed(NO, NO, NO, change=change), one, None) == start + REST
    assert caveats(changed(NO, NO, NO, change=(2.0, 3.0, 0.0)), one, PRESETS["paper"]) == start + WORDING + REST


def test_signs_may_agree_with_some_thresholds():
    mixed = pd.concat([changed(NO, NO, NO), changed(NO, NO, NO, thresholds=("solved",), change=(1.0, 1.0, 0.0))])
    assert "agree with thresholds kept, and do not agree with thresholds solved; the verdicts" in caveats(
        mixed, moves(("m", "kept", "specific", "related", 1)), None
    )


def test_notes_on_what_is_compared():
    nothing = pd.DataFrame([{"measure": "x", "model": "m", "language": "de", "left_out": 0, "units": 1}])
    assert notes([], {}, nothing) == ""
    said = notes([("a*", "change in log-perplexity")], {"before": "No answer was cut off."}, nothing.assign(left_out=1))
    assert said.split("\n\n") == [
        "*a&#42; has another tokenizer, so its change in log-perplexity is not to be compared.*",
        "*before&#58;&#32;No answer was cut off&#46;*",
        "*Left out, since one of the models compared has no value there: m, x: 1 of 2 in de.*",
    ]


def test_how_many_pairs_a_training_sees():
    assert pairs_seen(32) == "The training sees 32 of them, drawn at random. The first one:"
