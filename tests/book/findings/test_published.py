"""What chapter 12 says with and without the released counts, and of numbers that are found and that are not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from neuroglot.book.findings import published as findings
from neuroglot.neurons import published

from ...made import types_of
from ...neurons.test_published import counts, write_released

pytestmark = pytest.mark.filterwarnings("ignore:every larger lambda")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    write_released(folder, counts())
    return published.read_released(folder)


SETTINGS = {"text": "responses", "scaled": True, "top_rate": 0.1, "quantile": 0.9, "rule": "solved", "lam": 0.05}
NUMBERS = {"language neurons": 30, "general selected": 0}
NUMBERS |= {"fig. 15, selected": 0.5, "fig. 15, of a type": 0.25, "fig. 15, all": 0.75, "table 3": 0.125}


def tried(*rows):
    return pd.DataFrame([SETTINGS | NUMBERS | row for row in rows])


def test_without_counts_only_what_needs_none_is_said():
    said = findings.opening(None, None)
    assert "10,052 neurons of one language where its table 3 adds up to 5,563" in said
    assert "55,517 there and 18,657 here" in said and "the 4,588 that 1% of the model's 458,752 neurons are.**" in said
    assert said.endswith("**The released counts are not here, so nothing is computed from them.**")
    how = findings.how_to()
    assert "-p released FOLDER" in how and "NJUNLP/Language-Neurons-Alignment" in how
    assert findings.summary(None, None).endswith("at which settings, is not known here.")


def test_of_all_neurons_figure_15_would_have_too_many():
    assert "233,599 probabilities would be above tau, 5.09% of them all" in findings.above_tau()
    assert "are at most 229,376." in findings.above_tau()


def test_the_opening_says_whether_the_masks_are_found(found):
    table = tried({}, {"rule": "other", "lam": 0.03, "table 3": 0.0625, "text": "with prompts"})
    said = findings.opening(found, table)
    n = int((found.types.selected & (found.types.n_languages > 0)).sum())
    assert f"these counts give {n:,} neurons where the released masks have 3,219, but are " in said
    assert said.endswith(
        "**Of 2 combinations of settings the nearest to table 3 is 6.2% off (top rate 10.0%, quantile 90.0%, lambda "
        "0.0300 given, prompts counted, too), the nearest to figure 15 is 25.0% off (top rate 10.0%, quantile 90.0%, "
        "lambda 0.0500 solved).**"
    )


def test_numbers_that_are_found_are_named(found, monkeypatch):
    table = pd.DataFrame({"what": ["a", "b", "c"], "published": [2.0, 4, 8], "found": [2.0, 1, 6]})
    table["difference"] = table["found"] - table["published"]
    monkeypatch.setattr(findings, "beside_published", lambda _: table)
    said = findings.reproduced(found)
    assert said.startswith("Of 3 published numbers 1 is found to the last digit (a); the others are 25.0% to 75.0% of ")
    monkeypatch.setattr(findings, "beside_published", lambda _: table[:1])
    assert findings.reproduced(found).startswith("Of 1 published number 1 is found to the last digit (a). Solved")
    monkeypatch.setattr(findings, "beside_published", lambda _: table[1:])
    assert findings.reproduced(found).startswith("Of 2 published numbers 0 are found to the last digit; the others")


def test_the_nearest_misses_and_a_setting_that_gives_both():
    said = findings.misses(tried({}))
    assert "nearest 25.0% as specific and related neurons that are selected and all general ones, 50.0% as" in said
    assert "selected neurons alone and 75.0% as all neurons. " in said
    assert said.endswith("No one setting gives both figures exactly.")
    apart = {"fig. 15, all": 0, "table 3": 0.1}, {"fig. 15, all": 0.1, "table 3": 0}
    assert findings.misses(tried(*apart)).endswith("No one setting gives both figures exactly.")
    assert findings.misses(tried({"fig. 15, all": 0, "table 3": 0})).endswith("gives both figures exactly.")
    unscaled = {"scaled": False, "rule": "published", "lam": published.LAM}
    assert "lambda 0.1094 given, of the unscaled score)" in findings.misses(tried(unscaled))


def test_scaling_is_a_unit_of_lambda_where_the_numbers_are_the_same():
    pair = {"top_rate": 0.1}, {"top_rate": 0.1, "scaled": False}
    assert "the same numbers at 1 of 1 settings" in findings.same_lambda(tried(*pair))
    other = {"top_rate": 0.2}, {"top_rate": 0.2, "scaled": False, "language neurons": 31}
    assert "the same numbers at 1 of 2 settings" in findings.same_lambda(tried(*pair, *other))


def test_each_setting_is_turned_by_itself():
    stated = {"top_rate": 0.01, "quantile": 0.95}
    said = findings.sensitivity(
        tried(
            stated,
            stated | {"top_rate": 0.2, "language neurons": 60},
            stated | {"quantile": 0.8, "language neurons": 10},
            stated | {"rule": "other", "language neurons": 29},
            stated | {"text": "with prompts", "language neurons": 1},
            {"top_rate": 0.2, "quantile": 0.8, "language neurons": 99},
        )
    )
    assert said.endswith(
        "moves with the top rate alone from 30 to 60; with the quantile alone from 10 to 30; with lambda alone from 29 "
        "to 29."
    )


def test_english_has_fewest_or_not(found):
    types = types_of("en de fr", "en,de,de,fr,fr,en de,de fr,en fr,en de")
    said = findings.english(replace(found, types=types))
    assert said == (
        "English has 1 specific neurons, fewest; the others have 2 on average (published: 46 and 613); and 3 related "
        "neurons, not fewest, which French has; the others have 2 on average (published: 603 and 2,006). As a share of "
        "the others' mean that is 50% and 120%, published 8% and 30%."
    )


def test_lape_beside_the_rule(found):
    table = pd.DataFrame({"language": ["en", "de"], "jaccard": [0.25, 0.5], "chance": [0.001, 0.002]})
    said = findings.lape(found, table)
    assert said.endswith("the Jaccard overlap is 0.25 (English) to 0.50 (German), by chance at most 0.002.")
    both = (found.types.selected & found.lape.selected.any(axis=-1)).sum()
    assert f"and the rule {found.types.selected.sum():,}, of which " in said and f"; {both:,} are selected" in said


def test_the_summary_says_what_these_counts_cannot_say(found):
    said = findings.summary(found, tried({}))
    assert said.startswith(findings.reproduced(found)) and findings.clash() in said
    assert "one model" in said and "no number has an interval" in said


def test_tokens_of_prompts_may_have_a_common_factor(found):
    assert findings.tokens(found) == (
        "Counted are 5,000 tokens of responses and 70 of prompts, all languages together. Each language's number at "
        "prompts is a multiple of 7, as where every question is answered so often."
    )
    whole = replace(found.whole, shard_tokens=found.whole.shard_tokens + np.arange(10))
    assert findings.tokens(replace(found, whole=whole)).endswith("and 115 of prompts, all languages together.")


def test_the_opening_of_counts_that_give_the_masks(found, monkeypatch):
    n = int((found.types.selected & (found.types.n_languages > 0)).sum())
    monkeypatch.setattr(findings, "MASKED", n)
    assert f"these counts give as many neurons as the released masks have ({n:,}), but are" in findings.opening(
        found, tried({})
    )
