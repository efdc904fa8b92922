"""What the first page says of neurons, findings and kin, of none, one, many and what is missing."""

import numpy as np
import pandas as pd

from neuroglot.book.findings import index as findings

from ...made import types_of

KIN = pd.DataFrame(
    {
        "grouping": ["family", "script"],
        "pairs": [1, 1200],
        "within": [0.5, 0.25],
        "between": [0.25, 0.5],
        "difference": [0.25, -0.25],
        "p": [0.04, 0.9],
    }
)
PROFILE = pd.DataFrame({"layer": [0, 0, 1, 1], "kind": ["specific", "general"] * 2, "neurons": [3, 9, 5, 1]})


def test_opening():
    nothing = {"profile": PROFILE}, {}, {}, {}, {}, {}
    assert findings.opening(types_of("en de fr", "en,en,en de,en de fr,-"), *nothing) == (
        "**Of tiny's 5 neurons 2 are specific to one of 3 languages, 1 related to several and 1 general, at a top rate "
        f"of 5.0%.**\n\n{findings.findings(*nothing)}"
    )
    elsewhere = types_of("en de", "-,-", provenance={"model": "/a/b*"})
    assert findings.opening(elsewhere, *nothing).startswith("**Of b&#42;'s 2 neurons 0 are specific to one of 2 ")


def overlaps():
    row = {"comparison": "udhr, before", "kind": "specific", "jaccard": 0.2, "halves": 0.7, "difference": -0.5}
    return {"overlaps": pd.DataFrame([row | {"verdict": "less"}])}


def effects(verdict: str | None = "more"):
    rows = [("all languages", 1.25, verdict), ("en", -0.1, "not told apart"), ("de", 2.0, "more"), ("fr", 2.0, None)]
    table = pd.DataFrame(rows, columns=["language", "effect", "verdict"]).assign(low=0.5, high=2.0)
    table = table.assign(set="specific + related", measure="change in log-perplexity", what="own less others")
    return {"contrasts": pd.concat([table, table.assign(what="own", effect=9.0)])}


def written(*verdicts: str | None):
    rows = [("all text", code, "others", 0.5, v) for code, v in zip(("en", "de"), verdicts, strict=True)]
    rows += [("all text", "de", "matched", 9.0, "more"), ("udhr", "de", "others", 9.0, "more")]
    return {"contrasts": pd.DataFrame(rows, columns=["text", "language", "against", "number", "verdict"])}


def test_findings_with_their_verdicts():
    assert findings.findings({"profile": PROFILE}, overlaps(), effects(), written("less", "more"), {}, {}).split(
        "\n"
    ) == [
        "1. **Found again?** Specific neurons found on other text (udhr) overlap by 20% with this text's, those found "
        "on as much of this text by 70% (less). [Chapter 09](09-stability.html)",
        "2. **Needed?** Removing a language's specific and related neurons raises its own log-perplexity by +1.25 nats "
        "per token against removing other languages' (+0.50 to +2.00: more; more in 1 of 3 languages by itself). "
        "[Chapter 05](05-deactivation.html)",
        "3. **Written?** What a language's neurons add to the logits favours that language's tokens more than other "
        "languages' neurons do, by 0.50 standard deviations on average: beyond chance in 1 of 2 languages, not in "
        "English. [Chapter 04](04-neurons.html)",
    ]


def test_what_is_missing_is_said():
    segments = pd.DataFrame({"segments": [3, 4], "verdict": "less", "chosen": [True, False]})
    said = findings.findings({"profile": PROFILE, "segments": segments}, {}, {}, {}, {}, {}).split("\n")
    assert said == [
        "1. **Found again?** Not known here is whether the same neurons are found on other text: [chapter "
        "09](09-stability.html) was not run, or found no neuron to ask of.",
        "2. **Needed?** Not known here is what removing a language's neurons does to it: [chapter "
        "05](05-deactivation.html) was not run, or found no neuron to ask of.",
        "3. **Four parts?** Language neurons are most numerous in layer 1 of 2. Text that was not used to cut is "
        "described by 3 segments (not the paper's four), better than a smooth curve of as many numbers. [Chapter "
        "03](03-layers.html) (What they write is not known here: [chapter 04](04-neurons.html) has not said so.)",
    ]
    nothing = {"profile": PROFILE.assign(neurons=0)}
    said = findings.findings(nothing, {"overlaps": pd.DataFrame()}, effects(None), written(None, None), {}, {})
    assert "was not run" in said and "+2.00: not known; more in 1 of 3" in said and "how sure that is is not" in said
    said = findings.findings(nothing, {}, {"contrasts": effects()["contrasts"].iloc[:0]}, {}, {}, {})
    assert "Language neurons are not found. How many parts" in said and said.count("was not run") == 2


def test_language_or_script_comes_last_where_it_was_asked():
    row = {
        "rewriting": "romanized",
        "detector": "lape",
        "unchanged": 0.75,
        "rewritten": 0.25,
        "chance": 0.01,
        "verdict": "less",
    }
    tables = {"rewritten": pd.DataFrame([row | {"languages": 5}])}
    *others, last = findings.findings({"profile": PROFILE}, {}, {}, {}, tables, {}).split("\n")
    assert last.startswith("4. **Language or script?** On average over 1 detector and 5 languages, of a language's ")
    assert others == findings.findings({"profile": PROFILE}, {}, {}, {}, {"detectors": pd.DataFrame()}, {}).split("\n")


def test_other_detectors_have_the_last_word_where_they_were_tried():
    pairs = pd.DataFrame(
        [{"one": "lape", "other": "plnd", "effect": 0.5, "low": 0.2, "high": 0.8, "detectable": 0.3, "verdict": "more",
          "text": "problems", "budget": "100 a language"}]
    )  # fmt: skip
    claims = pd.DataFrame([{"claim": "x", "known": 2, "holds": 2, "contrary": 0}])
    last = findings.findings({"profile": PROFILE}, {}, {}, {}, {"pairs": pairs, "claims": claims}, {}).split("\n")[-1]
    assert last == (
        "4. **Another detector?** The neurons of lape are needed more than those of every other detector, by at least "
        "0.50 nats per token (0.20 to 0.80). Of 1 claim of this book, 1 holds under every detector, none under some, "
        "none under none. Under some the contrary of what others say holds for none of them. [Chapter "
        "10](10-detectors.html)"
    )
    alone = findings.findings({"profile": PROFILE}, {}, {}, {}, {"pairs": pairs}, {}).split("\n")[-1]
    assert alone.endswith("(0.20 to 0.80). [Chapter 10](10-detectors.html)")
    more = pd.concat([pairs, pairs.assign(one="attribution", effect=0.9, low=0.6, high=1.2),
                      pairs.assign(one="attribution", other="lape", effect=0.4, low=0.1, high=0.7)])  # fmt: skip
    both = findings.findings({"profile": PROFILE}, {}, {}, {}, {"pairs": pairs}, {"pairs": more}).split("\n")[-1]
    assert (
        "(0.20 to 0.80). In the full run of this model and text, which compared 3 detectors: The neurons of "
        "attribution are needed more than those of every other detector, by at least 0.40 nats per token (0.10 to "
        "0.70). [Chapter"
    ) in both
    assert findings.findings({"profile": PROFILE}, {}, {}, {}, {"pairs": pairs}, {"pairs": pairs}).endswith(alone)


def test_kinship_is_a_sentence():
    found = types_of("en de fr", "en de,-")
    end = ": from so few pairs, absence of evidence is no evidence of absence."
    family = "those of one family share 0.50 of their related neurons (1 pair) and others 0.25 (p = 0.04)"
    script = "those of one script share 0.25 of their related neurons (1,200 pairs) and others 0.50 (p = 0.90)"
    assert findings.kinship(KIN, found) == f"Of these languages {family} and {script}{end}"
    assert findings.kinship(KIN.assign(difference=[0.25, np.nan]), found) == f"Of these languages {family}{end}"
    nothing = "Whether families or scripts share neurons cannot be told from these languages."
    assert findings.kinship(KIN.assign(difference=np.nan), found) == nothing
    assert findings.kinship(KIN, types_of("en de fr", "en,-")) == nothing
