"""The live explorer: sliders in Jupyter that classify every neuron anew."""

import warnings
from typing import Any

import altair as alt
import anywidget
import ipywidgets
import numpy as np
import traitlets
import vl_convert

from . import charts
from .activations import ActivationStats
from .errors import NeuroglotError
from .identification import KINDS, Identifier, NeuronTypes

_TYPED = KINDS[1:]


class ChartView(anywidget.AnyWidget):
    """A Vega-Lite chart whose named data sets can be replaced without drawing it anew.

    In the book the page brings Vega along; elsewhere the script asks Python for it, once.
    """

    _esm = """
    async function vega(model) {
      if (globalThis.vegaEmbed) return;
      await new Promise((resolve) => {
        model.on("msg:custom", (message) => {
          if (!message.bundle) return;
          if (!globalThis.vegaEmbed) new Function("define", "module", "exports", message.bundle)();
          resolve();
        });
        model.send({ need: "bundle" });
      });
    }
    export default {
      async render({ model, el }) {
        el.classList.add("neuroglot-chart");
        await vega(model);
        const options = { renderer: "svg", actions: false };
        const spec = { ...model.get("spec"), datasets: model.get("rows") };
        const { view } = await globalThis.vegaEmbed(el, spec, options);
        model.on("change:rows", () => {
          for (const [name, rows] of Object.entries(model.get("rows"))) view.data(name, rows);
          view.resize().runAsync(); // the axes' labels may need more room
        });
        return () => view.finalize();
      },
    };
    """
    spec = traitlets.Dict().tag(sync=True)
    rows = traitlets.Dict().tag(sync=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.on_msg(self._answer)

    def _answer(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        if content.get("need") == "bundle":
            self.send({"bundle": vl_convert.javascript_bundle()})


class ThresholdExplorer(ipywidgets.VBox):
    """Sliders for every threshold, and what they make of all neurons, live in Jupyter.

    ``ThresholdExplorer(stats)`` in a cell shows it; :attr:`types` are the types on the screen, and
    setting ``explorer.top_rate.value`` and the like from Python moves the sliders.

    Args:
        stats: activation counts.
        top_rate, lam, quantile, scaled: where to start; as for :func:`neuroglot.classify`.
    """

    def __init__(
        self,
        stats: ActivationStats,
        *,
        top_rate: float = 0.01,
        lam: float | None = None,
        quantile: float = 0.95,
        scaled: bool = True,
    ) -> None:
        self._stats, self._scaled, self._p = stats, scaled, stats.probabilities()
        self._prepared: dict[tuple[str, ...], Identifier] = {}
        wide = {"layout": {"width": "28rem", "max_width": "100%"}, "style": {"description_width": "6rem"}}
        self.top_rate = ipywidgets.FloatSlider(
            top_rate,
            min=0.001,
            max=max(0.2, top_rate),
            step=0.001,
            readout_format=".1%",
            description="top rate",
            **wide,
        )
        self.solve = ipywidgets.Checkbox(lam is None, description="solve lambda", indent=False)
        self.lam = ipywidgets.FloatSlider(
            lam or 0.0, min=0, max=max(2.0, lam or 0.0), step=0.001, readout_format=".4f", description="lambda", **wide
        )
        self.quantile = ipywidgets.FloatSlider(
            quantile, min=0.5, max=0.999, step=0.001, readout_format=".3f", description="quantile", **wide
        )
        self.languages = ipywidgets.SelectMultiple(
            options=stats.languages,
            value=stats.languages,
            rows=min(len(stats.languages), 10),
            description="languages",
            layout={"width": "12rem"},
            style={"description_width": "6rem"},
        )
        self.message = ipywidgets.HTML()
        self.types: NeuronTypes | None = None
        self.chart = ChartView(spec=_spec(stats))
        sliders = ipywidgets.VBox([self.top_rate, self.lam, self.solve, self.quantile, self.message])
        super().__init__([ipywidgets.HBox([sliders, self.languages], layout={"flex_flow": "row wrap"}), self.chart])
        for control in (self.top_rate, self.solve, self.lam, self.quantile, self.languages):
            control.observe(self._changed, names="value")
        self.update()

    def _changed(self, change: dict[str, Any]) -> None:
        # A solved lambda moves its own slider; that move is an answer, not a question.
        if change["owner"] is not self.lam or not self.solve.value:
            self.update()

    def _identifier(self, languages: tuple[str, ...]) -> Identifier:
        if languages not in self._prepared:
            index = [self._stats.languages.index(code) for code in languages]
            everything = self._prepared.get(self._stats.languages)
            self._prepared = {languages: Identifier(self._p[..., index], scaled=self._scaled)}
            if everything:  # all languages, the view one comes back to, stay prepared
                self._prepared[self._stats.languages] = everything
        return self._prepared[languages]

    def update(self) -> None:
        """Classify at the thresholds on the sliders and redraw; says why where it cannot."""
        languages = tuple(self.languages.value)
        self.lam.disabled = self.solve.value
        try:
            if len(languages) < 2:
                raise NeuroglotError("choose at least two languages.")
            prepared = self._identifier(languages)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                lam, tau, score, selected, active = prepared.classify(
                    self.top_rate.value, None if self.solve.value else self.lam.value, self.quantile.value
                )
        except NeuroglotError as error:
            self.message.value = f"<em>{error}</em>"
            return
        if self.solve.value:
            self.lam.max = max(self.lam.max, lam)
            self.lam.value = lam
        self.types = NeuronTypes(
            languages=languages,
            top_rate=self.top_rate.value,
            lam=lam,
            quantile=self.quantile.value,
            scaled=self._scaled,
            solved=self.solve.value,
            tau=tau,
            score=score,
            selected=selected,
            active=active,
            provenance=self._stats.provenance,
        )
        self.chart.rows = _rows(self.types)
        notes = " ".join(f"<em>{warning.message}</em>" for warning in caught)
        self.message.value = f"tau = {tau:.4f}, {int(selected.sum()):,} neurons selected. {notes}"


def _rows(types: NeuronTypes) -> dict[str, list[dict[str, Any]]]:
    """The chart's three data sets; only typed neurons are touched."""
    k, (layers, width) = len(types.languages), types.score.shape
    place = np.flatnonzero(types.codes)
    code, n, layer = types.codes.ravel()[place], types.n_languages.ravel()[place], place // width
    per_layer = np.zeros((layers, len(KINDS)), dtype=int)
    np.add.at(per_layer, (layer, code), 1)
    per_n = np.zeros((k + 1, len(KINDS)), dtype=int)
    np.add.at(per_n, (n, code), 1)
    active = types.active[layer, place % width]
    per_language = {kind: active[code == KINDS.index(kind)].sum(axis=0) for kind in ("specific", "related")}
    kinds = [(kind, KINDS.index(kind)) for kind in _TYPED]
    return {
        "layers": [
            {"layer": i, "kind": kind, "neurons": int(per_layer[i, c])} for i in range(layers) for kind, c in kinds
        ],
        "shared": [{"n": i, "kind": kind, "neurons": int(per_n[i, c])} for i in range(1, k + 1) for kind, c in kinds],
        "languages": [
            {"language": name, "kind": kind, "neurons": int(count)}
            for kind, counts in per_language.items()
            for name, count in zip(types.languages, counts, strict=True)
        ],
    }


def _spec(stats: ActivationStats) -> dict[str, Any]:
    color = alt.Color("kind:N", scale=alt.Scale(domain=list(_TYPED), range=[charts.KIND_COLORS[k] for k in _TYPED]))
    tips = ["kind:N", "neurons:Q"]

    def panel(name: str, x: alt.X, title: str, **size: Any) -> alt.Chart:
        bars = alt.Chart(alt.NamedData(name=name)).mark_bar()
        return bars.encode(x=x, y=alt.Y("neurons:Q", title="neurons"), color=color, tooltip=tips).properties(
            title=title, **size
        )

    chart = alt.vconcat(
        panel("layers", alt.X("layer:O", title="layer"), "Where does each type sit?", width=560, height=200),
        alt.hconcat(
            panel(
                "shared",
                alt.X("n:O", title="number of languages N"),
                "How many languages share a neuron?",
                width=250,
                height=160,
            ),
            panel(
                "languages",
                alt.X("language:N", title="language", sort=list(stats.languages)),
                "How many belong to each language?",
                width=250,
                height=160,
            ),
        ),
    ).properties(description="Neurons of each type per layer, by number of languages, and per language.")
    with alt.theme.enable("neuroglot"):
        return chart.to_dict()
