"""Claims on what neurons do: verdicts as words, and writing that is asked of every detector's sets."""

import pandas as pd
import pytest

import neuroglot as ng
from neuroglot.base.uncertainty import LESS, MORE, SAME
from neuroglot.effects import claims as room
from neuroglot.effects.claims import removal_claims, writing_claims
from neuroglot.effects.writing import ALL_TEXT
from neuroglot.neurons.robustness import CONTRARY, HOLDS, OPEN

from ..conftest import tiny_model
from .test_writing import TEXT

AT_RANDOM, OTHERS = (
    f"removing a language's neurons harms it more than {what}"
    for what in ("random ones that are as often active", "as many of other languages'")
)


def test_removals_of_the_first_text_at_the_first_budget():
    rows = [
        ("t", "100", "lape", "own less matched", MORE),
        ("t", "100", "lape", "own less as many of theirs", SAME),
        ("t", "100", "plnd", "own less matched", LESS),
        ("t", "100", "plnd", "own less as many of theirs", None),
        ("t", "20", "overlap", "own less matched", MORE),
        ("u", "100", "plnd", "own less matched", MORE),
    ]
    table = pd.DataFrame(rows, columns=["text", "budget", "detector", "what", "verdict"])
    found = removal_claims(table, ["lape", "plnd", "overlap"])
    said = found.set_index(["claim", "detector"])["verdict"].astype(object)
    said = said.where(said.notna(), None).to_dict()
    assert said == {
        (AT_RANDOM, "lape"): HOLDS,
        (OTHERS, "lape"): OPEN,
        (AT_RANDOM, "plnd"): CONTRARY,
        (OTHERS, "plnd"): None,
        (AT_RANDOM, "overlap"): None,
        (OTHERS, "overlap"): None,
    }
    assert removal_claims(table.iloc[:0], ["lape"])["verdict"].isna().all()


def test_claims_that_take_long_are_named():
    assert room.also("") == [] == room.also(None) and room.also("alignment writing") == ["alignment", "writing"]
    with pytest.raises(ng.NeuroglotError, match="claims_also: there is no 'writting'; use writing, alignment"):
        room.also("writting")


@pytest.mark.model
def test_writing_holds_where_its_p_is_small(tokenizer, monkeypatch):
    model = tiny_model("llama")
    stats = ng.collect(model, tokenizer, TEXT, progress=False)
    types = ng.classify(stats, top_rate=0.3, quantile=0.6, detector="lape")
    means = ng.collect(model, tokenizer, TEXT, quantity="product", moments=True, progress=False)
    found = writing_claims(model, tokenizer, {"lape": types}, stats, TEXT, means=means)
    whole = ng.writing(model, tokenizer, types, stats, TEXT, means=means, draws=1, checked=1).dealt
    p = whole.loc[whole["text"] == ALL_TEXT, "p"].iloc[0]
    assert found["verdict"].tolist() == [HOLDS if p <= 0.05 else OPEN]
    for small, verdict in ((0.01, HOLDS), (0.2, OPEN), (float("nan"), None)):
        made = type("Made", (), {"dealt": pd.DataFrame({"text": [ALL_TEXT], "contrast": [1.0], "p": [small]})})
        monkeypatch.setattr(room, "writing", lambda *_, made=made, **__: made)
        assert writing_claims(model, tokenizer, {"x": types}, stats, TEXT)["verdict"].tolist() == [verdict]


@pytest.mark.model
def test_of_a_mixture_nothing_is_known(tokenizer):
    model = tiny_model("mixtral")
    stats = ng.collect(model, tokenizer, TEXT, progress=False)
    types = ng.classify(stats, top_rate=0.3, quantile=0.6, lam=0.05, min_tokens=1)
    assert writing_claims(model, tokenizer, {"x": types}, stats, TEXT)["verdict"].tolist() == [None]
