"""The playground: a prompt, what is done to a language's neurons, and what the model then says, as it says it."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..counts.activations import ActivationStats
from ..effects.playing import OFF, WAYS, NeuronSet, Setting, changes, play
from ..effects.removals import SETS
from ..neurons.identification import NeuronTypes
from ..text.languages import language_name
from .markup import NO_FORMULAS, html

#: How many results are kept.
KEPT = 10


class Playground(ipywidgets.VBox):
    """Change a language's neurons and see what the model says: as it is, so changed, and with random neurons changed.

    ``Playground(model, tokenizer, types)`` in a cell shows it. The three are written side by side, token by token; the
    kernel stays free meanwhile, but the model does not: nothing else should run it until it has stopped. The last ten
    results are :attr:`results`. In a built page the same panel shows what was played when the page was made.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        types: the model's neuron types.
        stats: the counts that they were identified on: random neurons are then as often active in the language.
        means: as of :meth:`neuroglot.ActivationStats.means` with ``quantity="product"``, in the types' languages;
            without them neurons cannot be set to their mean.
        others: further sets of neurons of this model, by name.
        prompt: to begin with.
        seed: of the random neurons.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        types: NeuronTypes,
        *,
        stats: ActivationStats | None = None,
        means: np.ndarray | None = None,
        others: Mapping[str, NeuronSet] | None = None,
        prompt: str = "",
        seed: int = 0,
    ) -> None:
        self._model, self._tokenizer, self._types = model, tokenizer, types
        self._with: dict[str, Any] = {"stats": stats, "means": means, "others": others, "seed": seed}
        self._rows: list[pd.DataFrame] = []
        self._running: threading.Thread | None = None
        self._stopped = threading.Event()
        ways = [way for way in WAYS if means is not None or way != WAYS[-1]]
        wide = ipywidgets.Layout(width="min(100%, 46rem)")
        own = {"style": {"description_width": "7rem"}, "layout": ipywidgets.Layout(width="min(100%, 22rem)")}
        self.prompt = ipywidgets.Textarea(
            prompt, description="prompt", rows=3, layout=wide, style={"description_width": "7rem"}
        )
        languages = [(f"{language_name(code)} ({code})", code) for code in types.languages]
        self.language = ipywidgets.Dropdown(options=languages, description="language", **own)
        self.neurons = ipywidgets.Dropdown(
            options=[*SETS, *(others or {})], value="specific + related", description="neurons", **own
        )
        self.way = ipywidgets.Dropdown(options=ways, description="they are", **own)
        self.strength = ipywidgets.BoundedFloatText(
            2.0, min=-100, max=100, step=0.5, description="strength", disabled=True, **own
        )
        self.new_tokens = ipywidgets.BoundedIntText(32, min=1, max=512, description="new tokens", **own)
        self.go = ipywidgets.Button(description="Play", button_style="primary", tooltip="Write all three responses")
        self.stop = ipywidgets.Button(description="Stop", disabled=True, tooltip="End the responses where they are")
        self.status = ipywidgets.HTML()
        self.shown = ipywidgets.HTML()
        self.way.observe(lambda change: setattr(self.strength, "disabled", change.new == OFF), "value")
        self.go.on_click(lambda _: self.start())
        self.stop.on_click(lambda _: self._stopped.set())
        boxes = ipywidgets.Layout(flex_flow="row wrap", grid_gap="0.25rem 1rem")
        controls = [self.language, self.neurons, self.way, self.strength, self.new_tokens]
        super().__init__(
            [
                self.prompt,
                ipywidgets.Box(controls, layout=boxes),
                ipywidgets.Box([self.go, self.stop], layout=boxes),
                self.status,
                self.shown,
            ]
        )
        self._say("Nothing was played yet.")

    @property
    def setting(self) -> Setting:
        """What the controls ask for."""
        return Setting(
            self.prompt.value,
            self.language.value,
            self.neurons.value,
            self.way.value,
            self.strength.value,
            self.new_tokens.value,
        )

    @property
    def results(self) -> pd.DataFrame:
        """The last ten, newest first: the columns of :func:`neuroglot.effects.playing.play`, and what was asked for."""
        return pd.concat(self._rows[::-1], ignore_index=True) if self._rows else pd.DataFrame()

    @property
    def busy(self) -> bool:
        """Whether the model is writing."""
        return self._running is not None and self._running.is_alive()

    def start(self) -> None:
        """Play what the controls ask for, beside whatever the kernel does; while it plays, nothing else is begun."""
        if self.busy:
            self._say("The model is still writing: press Stop, or wait, and then Play again.")
            return
        setting = self.setting
        self._stopped.clear()  # before the button can be pressed
        self._running = threading.Thread(target=self._run, args=(setting,), daemon=True)
        self.go.disabled, self.stop.disabled = True, False
        self._running.start()

    def wait(self) -> pd.DataFrame:
        """Wait until the model has stopped; the newest result."""
        if self._running is not None:
            self._running.join()
        return self._rows[-1] if self._rows else pd.DataFrame()

    def play(self, settings: Iterable[Setting]) -> pd.DataFrame:
        """Play some settings one after the other, at once; :attr:`results` after it.

        Raises:
            NeuroglotError: one that cannot be played.
        """
        self._stopped.clear()
        for setting in settings:
            self._play(setting)
        return self.results

    def _run(self, setting: Setting) -> None:
        try:
            self._play(setting)
        except Exception as error:  # whatever it is belongs where the reader looks
            self._say(html(str(error) or type(error).__name__))
        finally:
            self.go.disabled, self.stop.disabled = False, True

    def _play(self, setting: Setting) -> None:
        self._say("The model is writing ...")
        interventions = changes(self._types, setting, **self._with)

        def told(texts: Mapping[str, str]) -> bool:
            self.shown.value = _side_by_side([{"done": name, "response": text} for name, text in texts.items()])
            return self._stopped.is_set()

        found = play(self._model, self._tokenizer, setting, interventions, told)
        stopped = self._stopped.is_set()
        self._rows = [*self._rows, found.assign(**asdict(setting))][-KEPT:]
        self.shown.value = _side_by_side(found.to_dict("records"))
        self._say(f"{'Stopped' if stopped else 'Done'}: {html(in_words(setting))}")

    def _say(self, text: str) -> None:
        self.status.value = f'<p role="status">{text}</p>'

    def _page(self) -> str:
        """The same for a page: what was played, and that it was."""
        parts = [
            f"<details{' open' if not n else ''}><summary>{html(in_words(_setting(rows)))}</summary>"
            f'<blockquote style="white-space:pre-line">{html(rows["prompt"].iloc[0].strip())}</blockquote>'
            f"{_side_by_side(rows.to_dict('records'))}</details>"
            for n, rows in enumerate(self._rows)
        ]
        said = (
            "These answers were computed when the page was made; in Jupyter, this is a panel to try your own."
            if parts
            else "In Jupyter, this is a panel to try prompts and interventions; none was tried when the page was made."
        )
        return f'<div class="neuroglot-playground {NO_FORMULAS}"><p><em>{said}</em></p>{"".join(parts)}</div>'

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return {**(super()._repr_mimebundle_(**options) or {}), "text/html": self._page()}


def _setting(rows: pd.DataFrame) -> Setting:
    first = rows.iloc[0]
    return Setting(**{name: first[name] for name in Setting.__dataclass_fields__})


def in_words(setting: Setting) -> str:
    """What is done to which neurons."""
    strength = "" if setting.way == OFF else f" {setting.strength:g}"
    times = {"times": "multiplied by", "set to the mean": "set to their mean, times"}.get(setting.way, "switched off")
    return f"{setting.neurons} neurons of {language_name(setting.language)} {times}{strength}"


def _side_by_side(rows: Iterable[Mapping[Any, Any]]) -> str:
    """Responses beside each other, below each other where there is no room."""
    cards = []
    for row in rows:
        notes = []
        if row.get("changed"):
            notes.append(f"{row['changed']:,} neurons")
        if "in" in row:
            notes.append(_language(row["in"]))
        if not pd.isna(row.get("nats", np.nan)):
            notes.append(f"perplexity {np.exp(row['nats']):,.1f} for the unchanged model")
        text = html(row["response"]) or "<em>nothing yet</em>"
        cards.append(
            '<section style="flex:1 1 14rem;min-width:0;border:1px solid #8888;padding:.4rem .6rem">'
            f'<strong>{html(row["done"])}</strong><div style="white-space:pre-wrap;overflow-wrap:anywhere">{text}</div>'
            f"<small>{html('; '.join(notes))}</small></section>"
        )
    return f'<div style="display:flex;flex-wrap:wrap;gap:.5rem">{"".join(cards)}</div>'


def _language(found: Any) -> str:
    if found is None or pd.isna(found):
        return "in no clear language"
    return "goes round in circles" if found == "in circles" else f"in {language_name(found)}"
