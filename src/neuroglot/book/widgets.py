"""The explorer and the neuron browser: one front end, in the book's pages and live in Jupyter."""

import base64
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import anywidget
import numpy as np
import pandas as pd
import traitlets
import vl_convert

from ..base.errors import NeuroglotError, quoted
from ..base.files import write_bytes
from ..counts.activations import ActivationStats
from ..counts.widths import same_neurons
from ..neurons.contexts import TopContexts, block
from ..neurons.detection import Detection
from ..neurons.identification import (
    KINDS,
    LAMBDA,
    MIN_TOKENS,
    Identifier,
    NeuronTypes,
    classify,
    require_thresholds,
)
from ..neurons.scored import Scored
from ..text.corpora import Corpus
from .chapters import after
from .charts.live import LiveChart, NeuronMap, answer, front_end
from .charts.panels import explorer_panels, neuron_panel
from .charts.theme import KIND_COLORS, data_script, drawable
from .markup import html
from .packing import PAGE_LIMIT, base64_size, pack, pack_places
from .policy import meta, policy

_SCRIPTS = ("identify.js", "page.js", "explorer.js", "browser.js")

# What the types follow from, and what the front end calls it.
_THRESHOLDS = {"top_rate": "topRate", "lam": "lam", "quantile": "quantile", "languages": "languages"}


def with_page(bundle: Any, page: str) -> Any:
    """What Jupyter is given of a widget, with the HTML that a page shows in its place."""
    data, *metadata = bundle if isinstance(bundle, tuple) else (bundle,)
    data = {**(data or {}), "text/html": page}
    return (data, *metadata) if metadata else data


class _Live(anywidget.AnyWidget):
    """Packed probabilities and thresholds, shared with the front end; in a page, without a kernel, as HTML."""

    _esm = "\n".join(map(front_end, (*_SCRIPTS, "bundle.js", "live.js")))
    _css = front_end("neuroglot.css")
    given = traitlets.Dict().tag(sync=True)
    data = traitlets.Bytes().tag(sync=True)
    top_rate = traitlets.Float().tag(sync=True)
    lam = traitlets.Float(None, allow_none=True).tag(sync=True)
    quantile = traitlets.Float().tag(sync=True)
    languages = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(
        self,
        stats: ActivationStats,
        given: Mapping[str, Any],
        scaled: bool,
        min_tokens: int,
        detectors: str | None,
        **settings: Any,
    ) -> None:
        self.stats, self.scaled, self._detectors = stats, scaled, detectors
        self._prepared: dict[tuple[str, ...], Identifier] = {}
        self._packed, data = pack(stats, min_tokens=min_tokens)
        made = {"head": self._packed.head(), "scaled": scaled, "run": _name(stats), **given}
        super().__init__(given=made, data=data, **settings)
        self.on_msg(self._answer)

    @traitlets.validate("top_rate", "lam", "quantile")
    def _threshold(self, proposal: Any) -> float | None:
        require_thresholds(**{proposal["trait"].name: proposal["value"]})
        value: float | None = proposal["value"]
        return value

    @traitlets.validate("languages")
    def _some(self, proposal: Any) -> list[str]:
        return self._chosen(proposal["value"])

    def _chosen(self, codes: list[str]) -> list[str]:
        """Languages that can take part, in the order of the counts."""
        chosen = [code for code in self.stats.languages if code in codes]
        if len(chosen) < 2 or set(chosen) != set(codes):
            raise NeuroglotError(f"languages={codes}: give two or more of {' '.join(self.stats.languages)}.")
        return chosen

    def _answer(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        answer(self, content)

    @property
    def types(self) -> NeuronTypes:
        """The neuron types at the thresholds on the screen.

        They follow from what the screen has: the exact counts, or, of more than 65,535 tokens a language and of a
        mixture's experts, roots of the probabilities in 65,535 steps.

        Raises:
            NeuroglotError: no lambda fits.
        """
        languages = tuple(self.languages)
        if languages not in self._prepared:
            index = [self.stats.languages.index(code) for code in languages]
            self._prepared = {languages: self._packed.identifier(index, scaled=self.scaled)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the screen says so
            return self._prepared[languages].types(
                languages,
                self.top_rate,
                self.lam,
                self.quantile,
                self.stats.select(languages).provenance,
                self._packed.min_tokens,
            )

    def _settings(self) -> dict[str, Any]:
        """By the names of the front end."""
        return {other: getattr(self, name) for name, other in _THRESHOLDS.items()}

    def _page(self) -> dict[str, Any]:
        """What a page needs beside the settings and the data: no kernel is asked, and other pages are there."""
        return {**self.given, "detectors": self._detectors}

    def _pictures(self) -> str:
        """What stands in the page where no script runs, as in print."""
        raise NotImplementedError

    def html(self, limit: int = PAGE_LIMIT) -> str:
        """The same for a page: a picture, and what the book's script needs, in at most ``limit`` characters of data.

        Raises:
            NeuroglotError: too many neurons for the limit.
        """
        packed, data = self._packed, self.data
        limit -= len(self.given.get("places") or "")
        if base64_size(data) > limit:
            packed, data = pack(self.stats, limit, packed.min_tokens)
        own = {"head": packed.head(), "settings": self._settings(), "data": base64.b64encode(data).decode()}
        kind = self.given["kind"]
        return (
            f'<div data-neuroglot="{kind}" class="neuroglot-{kind}">{self._pictures()}'
            f"{data_script({**self._page(), **own})}</div>"
        )

    def save(self, path: str | Path, limit: int = PAGE_LIMIT) -> None:
        """Write a page of its own, to be opened from disk or served, that asks no other file or host.

        Its content security policy (:mod:`neuroglot.book.policy`) lets no script run but the front end's own.

        A file that is there is replaced, as by all that is called ``save``.

        Raises:
            NeuroglotError: too many neurons for the limit, or the file cannot be written.
        """
        bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg] # no snippet is needed
        scripts = [bundle, *map(front_end, (*_SCRIPTS, "start.js"))]
        # A script may hold the end tag in a string, where a backslash changes nothing.
        scripts = [script.replace("</script", "<\\/script") for script in scripts]
        tags = "".join(f"<script>{script}</script>" for script in scripts)
        title = f"<title>{html(self.given['run'])}</title>"
        own = meta(policy(scripts, files=False))
        head = f'<meta charset="utf-8">{own}<meta name="viewport" content="width=device-width">{title}'
        style = f"<style>body{{font-family:system-ui,sans-serif;margin:1rem}}{self._css}</style>"
        page = (
            f'<!DOCTYPE html><html lang="en"><head>{head}{style}</head><body>{self.html(limit)}{tags}</body></html>\n'
        )
        write_bytes(path, page.encode())

    def _repr_mimebundle_(self, **options: Any) -> Any:
        try:
            page = self.html()
        except NeuroglotError as error:
            page = f'<div data-neuroglot="none"><p>{html(str(error))}</p></div>'
        return with_page(super()._repr_mimebundle_(**options), page)


class ThresholdExplorer(_Live):
    """Sliders for every threshold, and what they make of all neurons.

    ``ThresholdExplorer(stats)`` in a cell shows it. Its :attr:`types` are those of the thresholds on the
    screen; setting ``explorer.top_rate``, ``lam`` (``None`` solves it), ``quantile`` or ``languages`` moves the
    sliders. ``explorer.observe(handler, "types")`` is told whenever the types change. In a built book the same works
    without a kernel.

    Of another detector than lambda-score there is no lambda to turn, and no language to leave out.

    Args:
        stats: activation counts.
        top_rate, lam, quantile, scaled, min_tokens: where to start; as for :func:`neuroglot.classify`.
        detector: whose scores select neurons: its name, or what it found in these counts.
        activity: ``"tau"``; types by a detector's own choice follow from no threshold.
        browser: address of the page with a :class:`NeuronBrowser`, which listed neurons are linked to.
        detectors: and of the one with a :class:`neuroglot.book.lookup.NeuronLookup`; in pages only.
        use: file of types that *Use these* writes; live only.

    Raises:
        NeuroglotError: random neurons, a detection of other counts, or another activity.
    """

    def __init__(
        self,
        stats: ActivationStats,
        *,
        top_rate: float = 0.01,
        lam: float | None = None,
        quantile: float = 0.95,
        scaled: bool = True,
        min_tokens: int = MIN_TOKENS,
        detector: str | Detection = LAMBDA,
        activity: str = "tau",
        browser: str | None = None,
        detectors: str | None = None,
        use: str | Path | None = None,
    ) -> None:
        if activity != "tau":
            raise NeuroglotError(f"activity={quoted(activity)}: thresholds are turned of types by tau alone.")
        specs = explorer_panels(stats.shape[0], stats.languages)
        self._file = use
        given = {"kind": "explorer", "specs": specs, "browser": browser, "use": use is not None}
        self._scored: Scored | None = None
        if detector != LAMBDA:
            lam, self._scored = None, Scored.read(stats, detector, min_tokens=min_tokens, scaled=scaled)
            given |= {"detector": self._scored.found.method, "places": pack_places(self._scored.places)}
        settings = {"top_rate": top_rate, "lam": lam, "quantile": quantile, "languages": list(stats.languages)}
        super().__init__(stats, given, scaled, min_tokens, detectors, **settings)
        if self._scored is not None:  # its tau is that of what the screen has
            shown = self._packed.identifier(scaled=scaled)
            self._scored = replace(self._scored, prepared=shown)

    def _chosen(self, codes: list[str]) -> list[str]:
        chosen = super()._chosen(codes)
        if self._scored is not None and len(chosen) < len(self.stats.languages):
            raise NeuroglotError(
                f"languages={codes}: the scores of {self._scored.found.method} are of all languages "
                "together; detect among some in counts of those (stats.select)."
            )
        return chosen

    @property
    def types(self) -> NeuronTypes:
        """The neuron types at the thresholds on the screen, selected by the detector's scores where one was given.

        Raises:
            NeuroglotError: no lambda fits.
        """
        if self._scored is None:
            return super().types
        return self._scored.types(self.stats, self.top_rate, self.quantile, self._packed.min_tokens)

    def observe(self, handler: Callable[[Any], Any], names: Any = traitlets.All, type: Any = "change") -> None:
        """As of every widget; ``"types"`` changes with each threshold, and the handler finds them as ``change.new``."""
        if names == "types":
            names = list(_THRESHOLDS)
            own, handler = handler, lambda _: own(traitlets.Bunch(name="types", owner=self, new=self.types))
        super().observe(handler, names, type)

    def use(self) -> str:
        """Write the types at these thresholds, from the exact counts, and say which chapters are to be run again.

        Raises:
            NeuroglotError: no file was named, no lambda fits, or it cannot be written.
        """
        if self._file is None:
            raise NeuroglotError('name the file: ThresholdExplorer(stats, use="types.safetensors").')
        found = classify(
            self.stats.select(self.languages),
            top_rate=self.top_rate,
            lam=self.lam,
            quantile=self.quantile,
            scaled=self.scaled,
            min_tokens=self._packed.min_tokens,
            detector=LAMBDA if self._scored is None else self._scored.found,
        )
        found.save(self._file)
        outdated = ", ".join(name.partition("-")[0] for name in after("types"))
        return f"Written to {self._file}. To be run again with these types: chapters {outdated}."

    def _page(self) -> dict[str, Any]:
        return {**super()._page(), "use": False}

    def _answer(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        super()._answer(widget, content, buffers)
        if (use := content.get("use")) is not None:
            try:
                for name in _THRESHOLDS:
                    setattr(self, name, use.get(name, getattr(self, name)))
                said = {"used": self.use()}
            except (NeuroglotError, OSError, traitlets.TraitError) as error:
                said = {"refused": f"Nothing was written: {error}"}
            self.send(said)

    def _pictures(self) -> str:
        rows = panel_rows(self.types)
        return "".join(_picture(spec, {name: rows[name]}) for name, spec in self.given["specs"].items())


def _picture(spec: dict[str, Any], rows: Mapping[str, list[dict[str, Any]]]) -> str:
    """A chart as it is where no script runs, with what it shows in words."""
    drawn = vl_convert.vegalite_to_svg(drawable({**spec, "width": 620, "datasets": rows}))
    return drawn.replace("<svg", f'<svg role="img" aria-label="{html(spec["description"])}"', 1)


def panel_rows(types: NeuronTypes) -> dict[str, list[dict[str, Any]]]:
    """The rows of ``charts.panels.explorer_panels`` for some types."""
    kinds = [(kind, code) for code, kind in enumerate(KINDS) if code]
    codes, n = types.codes, types.n_languages
    return {
        "layers": [
            {"layer": i, "kind": kind, "neurons": int((row == code).sum())}
            for i, row in enumerate(codes)
            for kind, code in kinds
        ],
        "shared": [
            {"n": i, "kind": kind, "neurons": int(((codes == code) & (n == i)).sum())}
            for i in range(1, len(types.languages) + 1)
            for kind, code in kinds
        ],
        "languages": cast(
            list[dict[str, Any]], types.counts_per_language()[["language", "kind", "neurons"]].to_dict("records")
        ),
    }


class NeuronBrowser(_Live):
    """One neuron at a time: its probabilities, type and rank, the text on which it fires most, its neighbours.

    Args:
        stats: activation counts.
        types: from :func:`neuroglot.classify` of these counts.
        contexts: from :func:`neuroglot.top_contexts`, and
        corpus: the text that they are of; both or neither.
        raised: the tokens that neurons raise most, from :func:`neuroglot.effects.writing.raised`.
        find: for neurons without contexts, a function of layer and neuron that gives them
            (``lambda *neuron: ng.top_contexts(model, tokenizer, corpus, [neuron])``); live only.
        detectors: address of the page with a :class:`neuroglot.book.lookup.NeuronLookup`, which the neuron that is
            shown is linked to; in pages only.
        layer, neuron: where to start; default: the lowest score.

    Raises:
        NeuroglotError: types of other counts or of another detector, contexts of another text, or no such neuron.
    """

    layer = traitlets.Int().tag(sync=True)
    neuron = traitlets.Int().tag(sync=True)
    among = traitlets.List(traitlets.Int()).tag(sync=True)

    def __init__(
        self,
        stats: ActivationStats,
        types: NeuronTypes,
        contexts: TopContexts | None = None,
        corpus: Corpus | None = None,
        *,
        raised: pd.DataFrame | None = None,
        find: Callable[[int, int], TopContexts] | None = None,
        detectors: str | None = None,
        layer: int | None = None,
        neuron: int | None = None,
    ) -> None:
        if not same_neurons(types, stats) or not set(types.languages) <= set(stats.languages):
            raise NeuroglotError("types and counts are not of the same neurons; give the types made from these counts.")
        if types.lam is None:
            raise NeuroglotError(
                f"types are those of {types.detector}; the browser shows lambda-score's: classify without detector."
            )
        if (contexts is None) != (corpus is None) or (find is not None and corpus is None):
            raise NeuroglotError("contexts are shown with their text; give contexts and corpus.")
        lowest = np.unravel_index(types.score.argmin(), types.score.shape)
        place = [int(own if given is None else given) for given, own in zip((layer, neuron), lowest, strict=True)]
        types.require_neuron(*place)
        self._contexts, self._corpus, self._find = contexts, corpus, find
        self._raised = {} if raised is None else _raised(raised)
        given = {
            "kind": "browser",
            "spec": neuron_panel(types.languages),
            "colors": KIND_COLORS,
            "contexts": None if contexts is None or corpus is None else _for_page(contexts, corpus, types),
            "raised": block(json.dumps(self._raised, ensure_ascii=False).encode()) if self._raised else None,
            "live": find is not None,
        }
        settings = {"top_rate": types.top_rate, "quantile": types.quantile, "languages": list(types.languages)}
        settings |= {"lam": types.lam, "layer": place[0], "neuron": place[1]}
        super().__init__(stats.select(types.languages), given, types.scaled, types.min_tokens, detectors, **settings)

    @traitlets.validate("layer", "neuron")
    def _there(self, proposal: Any) -> int:
        value: int = proposal["value"]
        name = proposal["trait"].name
        size = self.stats.shape[("layer", "neuron").index(name)]
        if not 0 <= value < size:
            raise NeuroglotError(f"{name}={value}: the model has {size}, counted from 0.")
        if name == "layer" and not self.stats.layer_widths[value]:
            raise NeuroglotError(f"layer={value}: this layer has no neurons; give another one.")
        return value

    def take(self, neurons: pd.DataFrame) -> None:
        """Step through these neurons only, and show the first of them; through all, where there are none.

        Args:
            neurons: their ``layer`` and ``neuron``, such as ``selected`` of a chart or of the map.

        Raises:
            NeuroglotError: no such columns, or no such neuron.
        """
        if len(neurons) and not {"layer", "neuron"} <= set(neurons):
            raise NeuroglotError("these are no neurons; give a table with the columns layer and neuron.")
        places = neurons[["layer", "neuron"]].to_numpy(int) if len(neurons) else np.zeros((0, 2), int)
        for layer, neuron in places:
            self.stats.require_neuron(layer, neuron)
        with self.hold_sync():
            self.among = (places[:, 0] * self.stats.shape[1] + places[:, 1]).tolist()
            if len(places):
                self.layer, self.neuron = map(int, places[0])

    def follow(self, chart: LiveChart | NeuronMap) -> None:
        """:meth:`take` whatever is selected in a chart or the map, whenever that changes."""
        chart.observe(lambda _: self.take(chart.selected), "chosen")

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"layer": self.layer, "neuron": self.neuron}

    def _page(self) -> dict[str, Any]:
        return {**super()._page(), "live": False}

    def _answer(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        super()._answer(widget, content, buffers)
        if self._find is not None and self._corpus is not None and (wanted := content.get("want")):
            layer, neuron = map(int, wanted)
            try:
                answer = {"contexts": self._find(layer, neuron).for_page(self._corpus)}
            except Exception as error:
                self.send({"error": f"No text was found: {error}", "layer": layer, "neuron": neuron})
                raise
            self.send({**answer, "layer": layer, "neuron": neuron})

    def _pictures(self) -> str:
        types, place = self.types, (self.layer, min(self.neuron, int(self.stats.layer_widths[self.layer]) - 1))
        kind = types.kind[place]
        p = self.stats.select(types.languages).probabilities(types.min_tokens)[place]
        rows = [
            {
                "language": code,
                "probability": None if np.isnan(own) else float(own),
                "kind": kind if above else "unclassified",
                "above": str(above),
            }
            for code, own, above in zip(types.languages, p, types.active[place], strict=True)
        ]
        data: dict[str, list[dict[str, Any]]] = {"probabilities": rows, "tau": [{"tau": types.tau}]}
        return _picture(self.given["spec"], data) + self._texts(*place)

    def _texts(self, layer: int, neuron: int) -> str:
        """The tokens and contexts of a neuron, those that are kept, for paper."""
        parts = []
        if kept := self._raised.get(f"{layer} {neuron}"):
            words = " ".join(f"<span>{html(token)}</span>" for token in kept[2])
            parts.append(f"<p>{html(_RAISED.format(*kept))} {words}</p>")
        if self._contexts is None or self._corpus is None or [layer, neuron] not in self._contexts.neurons.tolist():
            return "".join(parts)
        color = KIND_COLORS[self.types.kind[layer, neuron]]
        for own in self._contexts.of(layer, neuron, self._corpus):
            for context in own["contexts"]:
                text = "".join(  # shaded as in browser.js
                    f'<span style="background:{color}{round(150 * shade):02x}">{html(piece)}</span>'
                    for piece, shade, _ in context["pieces"]
                )
                parts.append(f'<p lang="{html(own["language"])}"><b>{html(own["language"])}</b> {text}</p>')
        return "".join(parts)


def _for_page(contexts: TopContexts, corpus: Corpus, types: NeuronTypes) -> dict[str, Any]:
    """The contexts for a page; of more than it may carry, those of the neurons with the lowest scores."""
    page = contexts.for_page(corpus)
    order = np.argsort(types.score[tuple(contexts.neurons.T)], kind="stable")
    while len(json.dumps(page)) > PAGE_LIMIT and len(order) > 1:
        order = order[: len(order) // 2]
        rows = np.sort(order)
        fewer = {name: getattr(contexts, name)[rows] for name in ("neurons", "value", "passage", "token", "shade")}
        page = replace(contexts, **fewer).for_page(corpus)
    return page


# As browser.js has it.
_RAISED = "The tokens that it raises most, at its mean value in {0}, {1}:"


def _raised(table: pd.DataFrame) -> dict[str, tuple[str, float, list[str]]]:
    """By layer and neuron: language, mean value and tokens."""
    return {
        f"{row['layer']} {row['neuron']}": (row["language"], float(f"{row['value']:.2g}"), list(row["tokens"]))
        for row in table.to_dict("records")
    }


def _name(stats: ActivationStats) -> str:
    """Model and text in words, for the names of downloaded files."""
    parts = (str(stats.provenance.get(name, "")).rsplit("/", 1)[-1] for name in ("model", "corpus"))
    return "-".join(part for part in parts if part) or "neuroglot"
