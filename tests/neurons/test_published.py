"""Published numbers beside what counts give: by plain arithmetic on small counts, and on the released ones."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroglot import ActivationStats, NeuroglotError, classify
from neuroglot.neurons import published

from ..made import types_of

pytestmark = pytest.mark.filterwarnings("ignore:every larger lambda")
TEN = " ".join(published.LANGUAGES)


def counts(seed=0, layers=4, width=60, languages=published.LANGUAGES):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.3, 2, size=(layers, width, len(languages)))
    p[:, :6] = 0.9  # active everywhere
    tokens = np.full((1, len(languages)), 500)
    return ActivationStats(rng.binomial(500, p)[None], tokens, languages)


def write_released(folder, stats, asked=7):
    """Counts as the authors release them: the whole run, and the prompts alone, at which no neuron fires but one."""
    for k, code in enumerate(stats.languages):
        prompts = np.zeros(stats.shape[:2], dtype=np.int64)
        prompts[0, 0] = asked
        for kind, over, total in (("prefix.", prompts, asked), ("", stats.counts[..., k] + prompts, 500 + asked)):
            content = {"total_tokens": total, "over_zero": torch.from_numpy(over)}
            torch.save(content, folder / f"{kind}activation.{code}.Mistral-1.pt")


@pytest.fixture
def released(tmp_path):
    write_released(tmp_path, counts())
    return published.read_released(tmp_path)


def test_the_published_numbers_add_up():
    assert sum(published.BY_N) == 40_627 and sum(published.BY_N_AFTER) == 42_034
    assert published.NEURONS == 458_752 and round(0.01 * published.NEURONS) == 4_588
    specific, related = published.fit_each_other().to_dict("records")
    assert (specific["fig. 15"], specific["table 3"]) == (10_052, 46 + 9 * 613)
    several = 2 * 4631 + 3 * 2742 + 4 * 1857 + 5 * 1346 + 6 * 945 + 7 * 690 + 8 * 678 + 9 * 883
    assert (related["fig. 15"], related["table 3"]) == (several, 603 + 9 * 2006)


def test_a_histogram_counts_whom_it_is_told_to():
    types = types_of("en de fr", "en,en de,en de fr,-,de")
    assert published.by_n(types, "all") == (2, 1, 1)
    assert published.by_n(types) == (2, 1, 1) and published.by_n(types, "selected") == (2, 1, 0)
    unselected = types_of("en de fr", "en,en de,en de fr,-")
    unselected.selected[:] = False
    assert published.by_n(unselected, "all") == (1, 1, 1)
    assert published.by_n(unselected) == (0, 0, 1) and published.by_n(unselected, "selected") == (0, 0, 0)


def test_english_stands_apart_from_the_mean_of_the_others():
    types = types_of("en de fr", "en,de,de,fr,en de,de fr,en de fr")
    assert published.table_3(types) == {
        "English specific": 1, "others specific": 1.5, "English related": 1, "others related": 1.5,
    }  # fmt: skip
    assert published.table_3(types, "fr")["others specific"] == 1.5


def test_distances_are_zero_at_the_published_numbers_alone():
    assert published.from_fig_15(published.BY_N) == published.from_table_3(published.TABLE_3) == 0
    assert published.from_fig_15((0,) * 10) == published.from_table_3(dict.fromkeys(published.TABLE_3, 0)) == 1
    assert published.from_fig_15([3, 1], [1, 3]) == 1
    assert published.from_table_3(published.TABLE_3 | {"English specific": 46 * 3}) == pytest.approx(2 / 4)


@pytest.mark.parametrize(("lam", "end"), [(0.109481, 0.109375), (0.0007, 0.0), (0.2, 0.2), (7.0, 0.2)])
def test_a_bisection_ends_at_or_below(lam, end):
    assert published.bisected(lam) == pytest.approx(end, abs=1e-12)


@given(st.floats(0, 0.2))
@settings(deadline=None)
def test_a_bisection_is_the_authors_loop(lam):
    low, high = 0.0, 0.2
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if middle <= lam else (low, middle)
    assert published.bisected(lam) in (pytest.approx(low, abs=1e-12), pytest.approx(0.2, abs=1e-12))


def test_a_folder_is_read_with_and_without_prompts(released):
    stats = counts()
    assert (released.responses.counts == stats.counts).all() and released.responses.tokens.tolist() == [500] * 10
    more = released.whole.counts - stats.counts
    assert released.whole.tokens.tolist() == [507] * 10 and more.sum() == 70 and (more[0, 0] == 7).all()
    assert (released.types.codes == classify(stats, **published.SETTINGS).codes).all()
    assert (released.solved.codes == classify(stats).codes).all() and released.lape.method == "lape"
    assert released.responses.languages == published.LANGUAGES
    assert published.read_released(None) is None


def test_a_folder_without_a_language_is_refused(tmp_path):
    write_released(tmp_path, counts().select("en de"))
    with pytest.raises(NeuroglotError, match=r"there is no file .*activation\.ru"):
        published.read_released(tmp_path)


@given(st.integers(0, 50))
@settings(max_examples=12, deadline=None)
def test_a_search_finds_what_classify_does(seed):
    """Every row, by the types of its settings; the pivot is not the first language."""
    stats = counts(seed, layers=3, width=40, languages=published.LANGUAGES[::-1])
    grid = {"rates": (0.05, 0.2), "quantiles": (0.8, 0.9), "lams": (0.0, 0.3)}
    tried = published.search({"responses": stats}, **grid)
    assert len(tried) == 2 * 2 * (2 + 2 + 2)
    for row in tried.to_dict("records"):
        types = classify(stats, **{name: row[name] for name in ("top_rate", "quantile", "lam", "scaled")})
        sizes = types.sizes()
        assert row["language neurons"] == sizes["specific"] + sizes["related"]
        assert row["general selected"] == (types.selected & (types.n_languages == 10)).sum()
        for counted in published.COUNTED:
            wanted = published.from_fig_15(published.by_n(types, counted))
            assert row[f"fig. 15, {counted}"] == pytest.approx(wanted, abs=1e-12)
        assert row["table 3"] == pytest.approx(published.from_table_3(published.table_3(types)), abs=1e-12)
        if row["rule"] == "solved":
            assert (
                row["lam"]
                == classify(stats, top_rate=row["top_rate"], quantile=row["quantile"], scaled=row["scaled"]).lam
            )
        assert (row["rule"] == "published") == (row["lam"] == published.LAM) or row["rule"] == "solved"


def test_a_search_leaves_out_what_no_lambda_fits():
    stats = counts()
    everywhere = ActivationStats(np.full((1, 2, 50, 10), 50), stats.shard_tokens, stats.languages)
    tried = published.search({"responses": everywhere}, (0.5,), (0.5,), ())
    assert set(tried["rule"]) == {"solved", "published"}, "no neuron is above tau"
    rng = np.random.default_rng(0)
    alike = ActivationStats(rng.integers(240, 261, (1, 2, 50, 10)), stats.shard_tokens, stats.languages)
    tried = published.search({"responses": alike}, (0.5,), (0.01,), ())
    assert tried["rule"].tolist() == ["published", "published"] and tried["scaled"].tolist() == [True, False]


def test_a_search_is_of_the_papers_languages():
    with pytest.raises(NeuroglotError, match=r"texts: the paper's figures are of en ru .*; give counts in these"):
        published.search({"responses": counts().select("en de")})


def test_the_nearest_is_the_least_by_each_lambda(released):
    tried = published.search(released.texts, (0.01, 0.1), (0.8, 0.95), (0.0, 0.05))
    near = published.nearest(tried).set_index(["figure", "lambda"])
    assert len(near) == 2 * len(published.DISTANCES)
    for figure, which in itertools.product(published.DISTANCES, ("as in the paper", "any")):
        some = tried if which == "any" else tried[tried["rule"].isin(["solved", "published"])]
        row = near.loc[(figure, which)]
        assert row["distance"] == some[figure].min()
        types = published.types_at(released, row.to_dict())
        numbers = published.from_table_3(published.table_3(types))
        if figure != "table 3":
            numbers = published.from_fig_15(published.by_n(types, figure.removeprefix("fig. 15, ")))
        assert numbers == pytest.approx(row["distance"], abs=1e-12)


def test_a_plane_turns_two_settings(released):
    tried = published.search(released.texts, (0.1, 0.01), (0.8, 0.95), (0.3, 0.05))
    plane = published.plane(tried, "quantile")
    assert plane[["quantile", "top_rate"]].to_numpy().tolist() == [[0.8, 0.01], [0.8, 0.1], [0.95, 0.01], [0.95, 0.1]]
    assert set(plane["rule"]) == {"solved"} and set(plane["text"]) == {"responses"} and plane["scaled"].all()
    plane = published.plane(tried, "lam")
    assert plane["lam"].tolist() == [0.05, 0.05, published.LAM, published.LAM, 0.3, 0.3]
    assert set(plane["quantile"]) == {0.95}


def test_histograms_of_the_paper_alone_and_beside_counts(released):
    alone = published.histograms(None, None)
    assert alone["of"].unique().tolist() == ["published, before alignment", "published, after alignment"]
    assert alone["neurons"].tolist() == [*published.BY_N, *published.BY_N_AFTER]
    tried = published.search(released.texts, (0.01, 0.1), (0.95,), ())
    both = published.histograms(released, tried)
    assert len(both) == 40 and both["neurons"].tolist()[20:30] == list(published.by_n(released.types))


def test_every_published_number_has_its_difference(released):
    table = published.beside_published(released)
    assert table["where"].tolist() == ["masks"] * 2 + ["table 3"] * 4 + ["fig. 15"] * 10
    assert (table["found"] - table["published"]).tolist() == table["difference"].tolist()
    assert table["found"].tolist()[6:] == list(published.by_n(released.types))
    assert table["published"].tolist()[2:6] == [46, 613, 603, 2006]


def test_lape_stands_beside_the_rule(released):
    table = published.beside_lape(released).set_index("language")
    for code in ("en", "sw"):
        own = [set(index.tolist()) for index in released.types.neurons(code)]
        other = [set(index.tolist()) for index in released.lape.neurons(code)]
        both = sum(len(a & b) for a, b in zip(own, other, strict=True))
        assert table.loc[code, "both"] == both
        assert table.loc[code, ["specific", "related"]].sum() == sum(map(len, own))
        assert table.loc[code, "LAPE"] == sum(map(len, other))


# --- the released counts -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def mistral(request):
    from ..conftest import SHARED

    folder = SHARED / "njunlp-mistral" / "activations"
    if not folder.is_dir():
        pytest.skip("the released counts are not beside this clone")
    return published.read_released(folder)


def test_the_released_counts_give_the_masks_and_neither_figure(mistral):
    table = published.beside_published(mistral).set_index("what")
    exact = table.index[table["difference"].abs() < 1e-9].tolist()
    assert exact == ["lambda where the authors' search ends", "neurons of any language"]
    found = table["found"].iloc[2:]
    assert found.round().tolist() == [12, 206, 130, 479, 1866, 617, 310, 153, 127, 59, 40, 27, 20, 7797]
    assert mistral.solved.lam == pytest.approx(0.109481, abs=1e-6)


def test_lape_of_the_released_counts(mistral):
    table = published.beside_lape(mistral).set_index("language")
    assert mistral.lape.selected.any(axis=-1).sum() == 4588 and table.loc["en", "LAPE"] == 52
    assert table.loc["en", ["specific", "related", "both"]].tolist() == [12, 130, 37]


def test_the_settings_at_which_the_released_counts_come_near(mistral):
    tried = published.search(mistral.texts, (0.01, 0.05, 0.1), (0.895, 0.9, 0.95), (0.03,))
    near = published.nearest(tried).set_index(["figure", "lambda"])
    row = near.loc[("fig. 15, of a type", "any")]
    assert row[["text", "top_rate", "quantile", "lam"]].tolist() == ["responses", 0.1, 0.895, 0.03]
    assert row["distance"] == pytest.approx(0.0331, abs=5e-5)
    table_3 = published.table_3(published.types_at(mistral, {
        "text": "responses", "top_rate": 0.05, "quantile": 0.9, "lam": None, "scaled": True,
    }))  # fmt: skip
    assert [round(number) for number in table_3.values()] == [46, 637, 502, 1985]
