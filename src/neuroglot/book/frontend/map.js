// The map of all neurons: names the neuron under the pointer or the cursor; in a page it opens it, in Jupyter a rectangle
// that is dragged, or drawn with Shift and the arrow keys, is chosen.
(() => {
  const { KINDS, element, fromBase64, inflate } = neuroglot;

  // The types and languages that charts.neuron_map packs, in words.
  async function reader({ layers, width, languages: names, neurons }) {
    const languages = JSON.parse(names);
    const bytes = await inflate(fromBase64(neurons));
    const [size, wide] = [layers * width, Math.ceil(languages.length / 8)];
    return ({ layer, neuron }) => {
      const i = layer * width + neuron;
      const own = languages.filter((_, j) => bytes[size + i * wide + (j >> 3)] & (128 >> (j & 7)));
      const kind = KINDS[bytes[i]];
      const where = kind === "general" ? " (all languages)" : own.length ? ` (${own.join(" ")})` : "";
      return `Layer ${layer}, neuron ${neuron}: ${kind}${where}.`;
    };
  }

  // chose({ left, right, top, bottom }): columns and rows of the picture, in Jupyter; null where nothing is.
  async function map(figure, chose = null) {
    const { browser: page, ...data } = figure.dataset;
    const [columns, rows, layers, width, gap] = ["columns", "rows", "layers", "width", "gap"].map((name) => Number(data[name]));
    const widths = data.widths ? JSON.parse(data.widths) : Array(layers).fill(width);
    const wide = (layer) => widths[layer] ?? 0;
    const words = await reader({ ...data, layers, width });
    const lines = layers * (rows + gap) - gap;
    const picture = figure.querySelector("img");
    const cursor = element("div", { class: "neuroglot-map-cursor", hidden: true });
    const said = element("p", { class: "neuroglot-map-said", role: "status" });
    said.textContent = chose
      ? "Drag over neurons to choose them, or move with the arrow keys, with Shift to choose; Escape chooses none."
      : "Point at a neuron to see which it is, or move with the arrow keys; a click or Enter opens it.";
    const frame = element("div", {
      class: "neuroglot-map-frame",
      tabindex: 0,
      role: "application",
      "aria-label": chose
        ? "Map of all neurons: arrow keys move, with Shift they choose, Page Up and Page Down change the layer"
        : "Map of all neurons: arrow keys move, Page Up and Page Down change the layer, Enter opens the neuron",
    });
    const brush = element("div", { class: "neuroglot-map-brush", hidden: true });
    picture.draggable = false;
    picture.replaceWith(frame);
    frame.append(picture, cursor, brush);
    figure.append(said);
    let at = null;

    const address = ({ layer, neuron }) => `${page}#${new URLSearchParams({ layer, neuron })}`;
    const open = () => at && !chose && (location.href = address(at));

    function show(to) {
      if (at && to.layer === at.layer && to.neuron === at.neuron) return;
      at = to;
      const [column, row] = place(at);
      const percent = (part, whole) => `${(100 * (part + 0.5)) / whole}%`;
      Object.assign(cursor.style, { left: percent(column, columns), top: percent(row, lines) });
      Object.assign(cursor.style, { width: `${100 / columns}%`, height: `${100 / lines}%` });
      cursor.hidden = false;
      said.replaceChildren(`${words(at)} `, ...(chose ? [] : [element("a", { href: address(at) }, "Open it")]));
    }

    const place = ({ layer, neuron }) => [neuron % columns, layer * (rows + gap) + Math.floor(neuron / columns)];

    // The rectangle between two neurons, both in it.
    let from = null;
    function frameBetween(one, other) {
      const [[a, b], [c, d]] = [place(one), place(other)];
      const chosen = { left: Math.min(a, c), right: Math.max(a, c), top: Math.min(b, d), bottom: Math.max(b, d) };
      const part = (start, size, whole) => [`${(100 * start) / whole}%`, `${(100 * size) / whole}%`];
      const [left, wide] = part(chosen.left, chosen.right - chosen.left + 1, columns);
      const [top, high] = part(chosen.top, chosen.bottom - chosen.top + 1, lines);
      Object.assign(brush.style, { left, top, width: wide, height: high });
      brush.hidden = false;
      return chosen;
    }
    function none() {
      from = null;
      brush.hidden = true;
      chose(null);
    }

    function under({ clientX, clientY }) {
      const box = picture.getBoundingClientRect();
      const column = Math.floor(((clientX - box.left) / box.width) * columns);
      const row = Math.floor(((clientY - box.top) / box.height) * lines);
      const [layer, neuron] = [Math.floor(row / (rows + gap)), (row % (rows + gap)) * columns + column];
      const inside = column >= 0 && column < columns && row >= 0 && row < lines;
      return inside && row % (rows + gap) < rows && neuron < wide(layer) ? { layer, neuron } : null;
    }

    // Along a layer, and from its last row to the first of the next layer that has neurons.
    function moved(key) {
      const { layer, neuron } = at;
      const column = neuron % columns;
      const next = (way) => {
        let found = layer + way;
        while (found >= 0 && found < layers && !wide(found)) found += way;
        return found;
      };
      const [above, below] = [next(-1), next(1)];
      const within = (to, own) => [to, Math.min(own, wide(to) - 1)];
      const last = (own) => own + columns * Math.max(Math.floor((wide(above) - 1 - own) / columns), 0);
      const to = {
        ArrowLeft: [layer, neuron - 1],
        ArrowRight: [layer, neuron + 1],
        ArrowUp: neuron >= columns ? [layer, neuron - columns] : within(above, last(column)),
        ArrowDown: neuron + columns < wide(layer) ? [layer, neuron + columns] : within(below, column),
        PageUp: within(above, neuron),
        PageDown: within(below, neuron),
        Home: [layer, 0],
        End: [layer, wide(layer) - 1],
      }[key];
      return to && { layer: to[0], neuron: to[1] };
    }

    frame.addEventListener("pointermove", (event) => {
      const found = event.pointerType === "touch" ? null : under(event);
      if (found) show(found);
    });
    if (chose) {
      let dragged = null;
      frame.addEventListener("pointerdown", (event) => {
        from = under(event);
        if (from) frame.setPointerCapture(event.pointerId);
        dragged = null;
      });
      frame.addEventListener("pointermove", (event) => {
        const to = event.buttons && from ? under(event) : null;
        if (to) dragged = frameBetween(from, to);
      });
      frame.addEventListener("pointerup", (event) => {
        if (from && !dragged) dragged = frameBetween(from, from);
        if (dragged) chose(dragged);
      });
    }
    frame.addEventListener("click", (event) => {
      const found = under(event);
      if (!found) return;
      show(found);
      if (event.pointerType !== "touch") open(); // a finger covers many: it chooses, and the link opens
    });
    frame.addEventListener("focus", () => show(at ?? { layer: widths.findIndex(Boolean), neuron: 0 }));
    frame.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const opens = event.key === "Enter" || event.key === " ";
      const leaves = chose && event.key === "Escape";
      const to = opens || leaves ? null : moved(event.key);
      if (!opens && !leaves && !to) return;
      event.preventDefault();
      if (leaves) none();
      else if (opens && chose) chose(frameBetween((from = at), at));
      else if (opens) open();
      else if (to.layer >= 0 && to.layer < layers && to.neuron >= 0 && to.neuron < wide(to.layer)) {
        const start = event.shiftKey ? (from ??= at) : (from = null);
        show(to);
        if (chose && start) chose(frameBetween(start, to));
      }
    });
    figure.dataset.drawn = "true";
  }

  Object.assign(globalThis.neuroglot, { map });
})();
