"""Charts in Jupyter: drawn as in the book's pages, without a network; Python reads what is selected in them."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import altair as alt
import anywidget
import numpy as np
import pandas as pd
import traitlets
import vl_convert

from ...neurons.identification import NeuronTypes
from .neuron_map import neuron_map, place
from .theme import drawable

#: What the renderer is called that draws charts by widgets.
LIVE = "neuroglot-live"


def front_end(name: str) -> str:
    """A script or style sheet of the book."""
    return files("neuroglot.book").joinpath("frontend", name).read_text(encoding="utf-8")


def answer(widget: anywidget.AnyWidget, content: Mapping[str, Any]) -> None:
    """Send Vega to a widget that asks for it."""
    if content.get("need") == "bundle":
        widget.send({"bundle": vl_convert.javascript_bundle()})  # type: ignore[call-arg] # no snippet is needed


class Vega(anywidget.AnyWidget):
    """Shown before all charts, it brings Vega along, so that none has to wait until the kernel can be asked."""

    _esm = front_end("bundle.js") + "export default { render: ({ model }) => neuroglotVega(model) };\n"
    bundle = traitlets.Unicode().tag(sync=True)

    def __init__(self) -> None:
        super().__init__(bundle=vl_convert.javascript_bundle())  # type: ignore[call-arg] # no snippet is needed


class LiveChart(anywidget.AnyWidget):
    """A chart of the book in Jupyter.

    Args:
        spec: a Vega-Lite specification, as of :meth:`altair.Chart.to_dict`.
    """

    _esm = "\n".join(map(front_end, ("charts.js", "bundle.js", "drawn.js")))
    _css = front_end("neuroglot.css")
    spec = traitlets.Dict().tag(sync=True)
    selections = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chosen = traitlets.Dict().tag(sync=True)

    def __init__(self, spec: Mapping[str, Any]) -> None:
        names = [param["name"] for param in spec.get("params", ()) if "select" in param]
        super().__init__(spec=drawable(dict(spec)), selections=names)
        self.on_msg(lambda _, content, __: answer(self, content))

    @property
    def selected(self) -> pd.DataFrame:
        """The rows of the chart's data that are selected, under a brush or by a click; none where nothing is.

        Of several data sets, those that have what is selected by.
        """
        chosen = [value for value in self.chosen.values() if value and set(value) - {"vlPoint"}]
        found = []
        for rows in self.spec.get("datasets", {}).values():
            table = pd.DataFrame(rows)
            if all(set(value) - {"vlPoint"} <= set(table) for value in chosen):
                here = pd.Series(bool(chosen), table.index)
                for value in chosen:
                    for field, kept in value.items():
                        if field != "vlPoint":
                            here &= _inside(table[field], kept, brushed="vlPoint" not in value)
                found.append(table[here])
        some = [table for table in found if len(table)] or found[:1]
        return pd.concat(some, ignore_index=True) if some else pd.DataFrame()


def _inside(values: pd.Series, kept: Any, brushed: bool) -> "pd.Series[bool]":
    """Whether values are in an interval (two ends, of numbers under a brush) or among those chosen."""
    if brushed and pd.api.types.is_numeric_dtype(values):
        return values.between(min(kept), max(kept))
    return values.isin(kept)


class NeuronMap(anywidget.AnyWidget):
    """The map of all neurons in Jupyter, of which a rectangle can be chosen, by the pointer or by keys.

    Args:
        types: neurons of any model.
    """

    _esm = "\n".join(map(front_end, ("identify.js", "page.js", "map.js", "mapped.js")))
    _css = front_end("neuroglot.css")
    figure = traitlets.Unicode().tag(sync=True)
    chosen = traitlets.Dict().tag(sync=True)

    def __init__(self, types: NeuronTypes) -> None:
        self.types = types
        super().__init__(figure=neuron_map(types, browser="").data)

    @property
    def selected(self) -> pd.DataFrame:
        """The neurons in the rectangle that are of a type: ``layer``, ``neuron``, ``kind``, lowest score first."""
        if not self.chosen:
            return pd.DataFrame(columns=["layer", "neuron", "kind"])
        layer, neuron = np.nonzero(self.types.codes)
        column, row = place(self.types, layer, neuron)
        inside = (column >= self.chosen["left"]) & (column <= self.chosen["right"])
        inside &= (row >= self.chosen["top"]) & (row <= self.chosen["bottom"])
        layer, neuron = layer[inside], neuron[inside]
        order = np.argsort(self.types.score[layer, neuron], kind="stable")
        found = {"layer": layer[order], "neuron": neuron[order], "kind": self.types.kind[layer, neuron][order]}
        return pd.DataFrame(found)


def every_neuron(types: NeuronTypes, browser: str | None = None) -> Any:
    """:func:`neuron_map`; in Jupyter a :class:`NeuronMap`."""
    return NeuronMap(types) if alt.renderers.active == LIVE else neuron_map(types, browser)


def selectable(chart: alt.TopLevelMixin) -> Any:
    """In Jupyter the chart as a widget, for its :attr:`LiveChart.selected`; elsewhere the chart itself."""
    return LiveChart(chart.to_dict()) if alt.renderers.active == LIVE else chart


def enable() -> None:
    """Draw all charts of this notebook by widgets; the first one brings Vega along."""
    from IPython.display import display

    alt.renderers.register(LIVE, lambda spec, **_: LiveChart(spec)._repr_mimebundle_() or {})
    alt.renderers.enable(LIVE)
    display(Vega())
