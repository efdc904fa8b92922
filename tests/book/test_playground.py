"""The playground: it writes beside the kernel, one thing at a time, and a page has what was played."""

import threading

import numpy as np
import pytest

from neuroglot import ActivationStats, NeuroglotError, Playground, classify
from neuroglot.book import playground as module
from neuroglot.effects.playing import OFF, TIMES, Setting

from ..conftest import byte_tokenizer, tiny_model


@pytest.fixture
def panel():
    rng = np.random.default_rng(0)
    p = rng.beta(0.4, 0.6, size=(3, 48, 3))
    stats = ActivationStats(rng.binomial(40, p, size=(4, 3, 48, 3)), np.full((4, 3), 40), ("de", "en", "ru"))
    types = classify(stats, top_rate=0.4, quantile=0.7)
    made = Playground(tiny_model("llama"), byte_tokenizer(), types, stats=stats, prompt="Guten <b>Tag</b>")
    made.new_tokens.value = 5
    return made


def test_the_controls_are_the_setting(panel):
    assert panel.setting == Setting("Guten <b>Tag</b>", "de", "specific + related", OFF, 2.0, 5)
    assert panel.strength.disabled and "set to the mean" not in panel.way.options, "there are no means"
    panel.way.value, panel.language.value = TIMES, "ru"
    assert not panel.strength.disabled and panel.setting.way == TIMES and panel.setting.language == "ru"
    assert all(control.description for control in (panel.prompt, panel.language, panel.neurons, panel.way))


def test_it_writes_beside_the_kernel_and_one_thing_at_a_time(panel, monkeypatch):
    begun, go_on, real = threading.Event(), threading.Event(), module.play

    def held(*given):
        begun.set()
        go_on.wait(30)
        return real(*given)

    monkeypatch.setattr(module, "play", held)
    panel.go.click()
    assert begun.wait(30) and panel.busy and panel.go.disabled and not panel.stop.disabled
    panel.start()
    assert "still writing" in panel.status.value
    go_on.set()
    found = panel.wait()
    assert len(found) == 3 and not panel.busy and not panel.go.disabled and panel.stop.disabled
    assert "Done: specific + related neurons of German switched off" in panel.status.value
    assert panel.shown.value.count("<section") == 3


def test_stop_ends_it_and_keeps_what_is_there(panel, monkeypatch):
    real = module.play

    def stopped(model, tokenizer, setting, interventions, told):
        return real(model, tokenizer, setting, interventions, lambda texts: (panel.stop.click(), told(texts))[1])

    monkeypatch.setattr(module, "play", stopped)
    panel.start()
    assert panel.wait()["response"].str.len().max() <= 1 and "Stopped" in panel.status.value


def test_what_goes_wrong_is_said_and_loses_nothing(panel):
    panel.play([panel.setting])
    panel.prompt.value = " "
    panel.start()
    panel.wait()
    assert "there is no prompt" in panel.status.value and not panel.go.disabled and len(panel.results) == 3
    with pytest.raises(NeuroglotError, match="no prompt"):
        panel.play([panel.setting])


def test_the_last_ten_are_kept_newest_first(panel):
    found = panel.play([Setting(f"prompt {n}", "en", new_tokens=1) for n in range(12)])
    assert found["prompt"].tolist()[::3] == [f"prompt {n}" for n in range(11, 1, -1)] and len(found) == 30
    assert {"done", "response", "in", "nats", "language", "way", "strength"} <= set(found)


def test_a_page_has_what_was_played_and_says_so(panel):
    empty = panel._repr_mimebundle_()["text/html"]
    assert "none was tried when the page was made" in empty
    panel.play([panel.setting, Setting("<script>x</script>", "en", way=TIMES, strength=3, new_tokens=2)])
    page = panel._repr_mimebundle_()["text/html"]
    assert "computed when the page was made" in page and page.count("<details") == 2 and page.count("<section") == 6
    assert "<script>x" not in page and "&lt;script&gt;x" in page and "<b>Tag" not in page
    assert "specific + related neurons of English multiplied by 3" in page
