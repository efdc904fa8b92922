"""One prompt under one intervention, beside the model as it is and random neurons."""

import numpy as np
import pytest

from neuroglot import ActivationStats, Corpus, Example, Intervention, NeuroglotError, classify, intervene, losses
from neuroglot.effects import playing
from neuroglot.effects.playing import CHANGED, OFF, RANDOM, TIMES, TO_MEAN, Setting
from neuroglot.effects.removals import AS_IT_IS
from neuroglot.model.sampling import continued

from ..conftest import byte_tokenizer, tiny_model


@pytest.fixture(scope="module")
def stats():
    rng = np.random.default_rng(0)
    p = rng.beta(0.4, 0.6, size=(3, 48, 3))
    return ActivationStats(rng.binomial(40, p, size=(4, 3, 48, 3)), np.full((4, 3), 40), ("de", "en", "ru"))


@pytest.fixture(scope="module")
def types(stats):
    return classify(stats, top_rate=0.4, quantile=0.7)


@pytest.fixture(scope="module")
def model():
    return tiny_model("llama")


def test_what_is_done_to_which_neurons(types, stats):
    own = types.neurons("de", ("specific", "related"))
    means = np.random.default_rng(1).normal(size=(3, 48, 3))
    for setting, wanted in (
        (Setting("x", "de"), {"values": 0.0}),
        (Setting("x", "de", way=TIMES, strength=-2), {"factor": -2.0}),
        (Setting("x", "de", way=TO_MEAN, strength=3), {"values": 3 * means[..., 0]}),
    ):
        found = playing.changes(types, setting, stats=stats, means=means)
        assert list(found) == [AS_IT_IS, CHANGED, RANDOM] and found[AS_IT_IS] is None
        assert found[CHANGED].hash == Intervention(own, **wanted).hash
        drawn = found[RANDOM].neurons
        assert [len(a) for a in drawn] == [len(a) for a in own]
        assert not any(set(a) & set(b) for a, b in zip(drawn, own, strict=True)), "others than the set's"
        assert found[RANDOM].hash == Intervention(drawn, **wanted).hash
    again = playing.changes(types, Setting("x", "de"), stats=stats, seed=1)
    assert any((a != b).any() for a, b in zip(again[RANDOM].neurons, drawn, strict=True))


def test_further_sets_are_taken_by_name(types):
    class Others:
        languages = ("de",)

        def neurons(self, language):
            return [np.array([1]), np.array([], dtype=int), np.array([2, 3])]

    found = playing.changes(types, Setting("x", "de", "theirs"), others={"theirs": Others()})
    assert [list(a) for a in found[CHANGED].neurons] == [[1], [], [2, 3]]
    assert [len(a) for a in found[RANDOM].neurons] == [1, 0, 2]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (Setting("x", "de", way="louder"), "there is no way 'louder'"),
        (Setting("x", "de", "none"), "there is no set 'none'; use specific"),
        (Setting("x", "xx"), "xx"),
        (Setting("x", "de", way=TIMES, strength=float("nan")), "strength nan: give a number"),
        (Setting("x", "de", way=TO_MEAN), "there are no means to set neurons to"),
        (Setting("x", "de", "short"), "the set short has 1 layers and the model 3"),
        (Setting("x", "de", "empty"), "de has no empty neurons; choose another"),
    ],
)
def test_what_cannot_be_played_is_said(types, setting, said):
    class Given:
        languages = ("de",)

        def __init__(self, layers):
            self.layers = layers

        def neurons(self, language):
            return [np.array([], dtype=int)] * self.layers

    with pytest.raises(NeuroglotError, match=said):
        playing.changes(types, setting, others={"short": Given(1), "empty": Given(3)})


def test_each_response_is_that_of_its_intervention_alone(model, types, stats):
    tokenizer = byte_tokenizer()
    setting = Setting("Guten Tag", "de", way=TIMES, strength=5, new_tokens=8)
    interventions = playing.changes(types, setting, stats=stats)
    steps = []
    found = playing.play(model, tokenizer, setting, interventions, lambda texts: steps.append(dict(texts)) or False)
    assert found["done"].tolist() == list(interventions) and found["changed"].tolist()[0] == 0
    ids = tokenizer(setting.prompt, return_tensors="pt")["input_ids"]
    for row, change in zip(found.to_dict("records"), interventions.values(), strict=True):
        with intervene(model, [change]):
            alone = model.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=0, eos_token_id=257)
        assert row["response"] == tokenizer.decode(alone[0, ids.shape[1] :], skip_special_tokens=True).strip()
    assert len(steps) == 8 and list(steps[0]) == list(interventions)
    assert all(steps[-1][row["done"]].strip() == row["response"] for row in found.to_dict("records"))
    said = found.iloc[1]
    example = Example("0", "de", setting.prompt, said["response"])
    unchanged = losses(model, tokenizer, Corpus("one", ("de",), (example,)), progress=False)
    assert said["nats"] == pytest.approx(unchanged.nll[0, 0, 0] / unchanged.tokens[0, 0], rel=1e-5)
    assert said["tokens"] == unchanged.tokens[0, 0]


def test_all_end_where_it_is_wanted(model):
    tokenizer, heard = byte_tokenizer(), []
    said = continued(
        model,
        tokenizer,
        "Guten Tag",
        [None, None],
        max_new_tokens=20,
        told=lambda t: heard.append(t) or len(heard) == 3,
    )
    assert len(heard) == 3 and said[0] == said[1] == heard[-1][0].rstrip()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"prompt": "  "}, "there is no prompt"),
        ({"prompt": "x" * 300}, "leaves less than 48 of the context of 256"),
        ({"max_new_tokens": 0}, "max_new_tokens=0"),
        ({"temperature": -1}, "temperature=-1"),
    ],
)
def test_what_cannot_be_continued_is_said(model, how, said):
    with pytest.raises(NeuroglotError, match=said):
        continued(model, byte_tokenizer(), how.pop("prompt", "x"), [None], **how)


def test_what_the_chapter_plays(types):
    asked = Corpus("asked", ("en",), (Example("1", "en", " How many? ", ""),))
    found = playing.example(asked, types, "en", ["de", "ru"], {"amplify": 4, "set": 1}, 7)
    assert found.prompt == "How many?"
    ways = [("en", OFF, 1), ("de", TIMES, 4), ("de", TO_MEAN, 1)]
    assert [(s.language, s.way, s.strength) for s in found.settings] == ways
    assert {(s.prompt, s.new_tokens) for s in found.settings} == {("How many?", 7)}
    assert playing.example(None, types, "en", ["de"], {"amplify": 4}, 7).settings == ()
    assert len(playing.example(asked, types, "en", [], {"amplify": 4}, 7).settings) == 1
