// Draw every chart of a page: a div that holds a static picture, followed by its specification.
(() => {
  const PHONE = 520; // px: with less room, legends have two columns and labels are shorter
  const LEAST = 120; // px of a panel, however little room there is
  const OPTIONS = {
    renderer: "svg",
    ast: true, // formulas are read, not made into code, which the page's policy would not run
    actions: { export: true, source: false, compiled: false, editor: false },
  };

  // Text in lines that fit; a letter is about half as wide as it is high.
  function lines(text, room, size) {
    const most = Math.max(16, Math.floor(room / (size * 0.56)));
    return [text].flat().flatMap((line) => {
      const made = [""];
      for (const word of line.split(" ")) {
        const last = made.at(-1);
        if (last && last.length + word.length >= most) made.push(word);
        else made[made.length - 1] = last ? `${last} ${word}` : word;
      }
      return made;
    });
  }

  function titled(title, width) {
    const room = width - 44; // beside it is the button that saves the chart
    if (typeof title === "string") return lines(title, room, 15);
    const made = { ...title };
    for (const [part, size] of [["text", 15], ["subtitle", 11]]) {
      if ([made[part]].flat().every((line) => typeof line === "string")) made[part] = lines(made[part], room, size);
    }
    return made;
  }

  const parts = (spec) => ["hconcat", "vconcat", "concat", "layer"].flatMap((kind) => spec[kind] ?? []).concat(spec.spec ?? []);

  // Panels below each other instead of side by side.
  function stacked(spec) {
    if (spec.hconcat) {
      spec.vconcat = spec.hconcat;
      delete spec.hconcat;
    }
    if (spec.concat) spec.columns = 1;
    if (spec.facet?.column && !spec.facet.row) {
      spec.facet = spec.facet.column;
      spec.columns = 1;
    }
    if (spec.encoding?.column && !spec.encoding.row) {
      spec.encoding.facet = { ...spec.encoding.column, columns: 1 };
      delete spec.encoding.column;
    }
    parts(spec).forEach(stacked);
  }

  const widest = (spec) =>
    Math.max(typeof spec.width === "number" ? spec.width : 0, ...parts(spec).map(widest));

  function limited(spec, width) {
    if (spec.width > width) spec.width = width;
    parts(spec).forEach((part) => limited(part, width));
  }

  // A copy of the specification for this much room.
  function fitted(spec, room) {
    const own = structuredClone(spec);
    const wrap = (part) => {
      if (part.title) part.title = titled(part.title, room);
      parts(part).forEach(wrap);
    };
    wrap(own);
    if (room < PHONE) {
      const { axis, legend } = own.config ?? {};
      const narrow = { axis: { ...axis, labelLimit: Math.round(room * 0.3) }, legend: { ...legend, columns: 2 } };
      own.config = { ...own.config, ...narrow };
    }
    return own;
  }

  // Vega gives parts without a description, such as a line at zero, a role but no name, whenever it draws them.
  const watched = new WeakSet();
  function name(place) {
    for (const part of place.querySelectorAll("g[role=graphics-symbol]:not([aria-label])")) {
      part.setAttribute("aria-label", part.getAttribute("aria-roledescription"));
    }
    if (watched.has(place)) return;
    watched.add(place);
    const changes = { subtree: true, childList: true, attributeFilter: ["role", "aria-label"] };
    new MutationObserver(() => name(place)).observe(place, changes);
  }

  // Draw a specification in a place: what is too wide is stacked, then made narrower. Gives what vegaEmbed gives.
  async function show(place, spec, options = OPTIONS) {
    const room = place.clientWidth;
    const own = fitted(spec, room);
    if (own.width === "container" && own.height?.step) {
      // Vega-Lite warns that only the width can fit, which is what is asked for; so ask Vega itself.
      own.width = room;
      options = { ...options, patch: (vega) => ({ ...vega, autosize: { type: "fit-x", contains: "padding" } }) };
    }
    const excess = () => Math.ceil(place.querySelector("svg.marks").getBoundingClientRect().width - room);
    let drawn = await vegaEmbed(place, own, options);
    for (const fit of [stacked, (wide) => limited(wide, Math.max(LEAST, widest(wide) - excess()))]) {
      if (excess() <= 0 || !widest(own)) break;
      fit(own);
      drawn.finalize();
      drawn = await vegaEmbed(place, own, options);
    }
    name(place);
    place.querySelector(":scope > details > summary")?.setAttribute("aria-label", "Save this chart");
    return drawn;
  }

  // The chart again when its room changes (a phone is turned, a sidebar closed), with what was chosen; `then` is told.
  function keep(place, spec, then = () => {}) {
    const picture = [...place.childNodes];
    let drawn = null;
    let room = 0;
    let last = Promise.resolve();
    const draw = async () => {
      if (Math.abs(place.clientWidth - room) < 2) return;
      room = place.clientWidth;
      const chosen = { ...spec };
      if (drawn && spec.params) {
        chosen.params = spec.params.map((param) =>
          param.bind?.input ? { ...param, value: drawn.view.signal(param.name) } : param,
        );
      }
      delete place.dataset.drawn;
      try {
        drawn?.finalize();
        drawn = await show(place, chosen);
        place.view = drawn.view;
        place.dataset.drawn = "true";
        then(drawn.view);
      } catch (error) {
        place.replaceChildren(...picture); // without its tooltips and sliders, but with its numbers
        console.error(error);
      }
    };
    let waiting;
    new ResizeObserver(() => {
      clearTimeout(waiting);
      waiting = setTimeout(() => (last = last.then(draw)), room ? 150 : 0);
    }).observe(place);
  }

  globalThis.neuroglotCharts = { show, keep };
  document.addEventListener("DOMContentLoaded", () => {
    for (const place of document.querySelectorAll("div.neuroglot-chart")) {
      const source = place.nextElementSibling;
      if (source?.type === "application/json") keep(place, JSON.parse(source.textContent));
    }
  });
})();
