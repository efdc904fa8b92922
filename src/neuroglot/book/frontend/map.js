// The map of all neurons in a page: names the neuron under the pointer or the cursor, and opens it.
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

  async function map(figure) {
    const { browser: page, ...data } = figure.dataset;
    const [columns, rows, layers, width, gap] = ["columns", "rows", "layers", "width", "gap"].map((name) => Number(data[name]));
    const words = await reader({ ...data, layers, width });
    const lines = layers * (rows + gap) - gap;
    const picture = figure.querySelector("img");
    const cursor = element("div", { class: "neuroglot-map-cursor", hidden: true });
    const said = element("p", { class: "neuroglot-map-said", role: "status" });
    said.textContent = "Point at a neuron to see which it is, or move with the arrow keys; a click or Enter opens it.";
    const frame = element("div", {
      class: "neuroglot-map-frame",
      tabindex: 0,
      role: "application",
      "aria-label": "Map of all neurons: arrow keys move, Page Up and Page Down change the layer, Enter opens the neuron",
    });
    picture.replaceWith(frame);
    frame.append(picture, cursor);
    figure.append(said);
    let at = null;

    const address = ({ layer, neuron }) => `${page}#${new URLSearchParams({ layer, neuron })}`;
    const open = () => at && (location.href = address(at));

    function show(to) {
      if (at && to.layer === at.layer && to.neuron === at.neuron) return;
      at = to;
      const [column, row] = [at.neuron % columns, at.layer * (rows + gap) + Math.floor(at.neuron / columns)];
      const percent = (part, whole) => `${(100 * (part + 0.5)) / whole}%`;
      Object.assign(cursor.style, { left: percent(column, columns), top: percent(row, lines) });
      Object.assign(cursor.style, { width: `${100 / columns}%`, height: `${100 / lines}%` });
      cursor.hidden = false;
      said.replaceChildren(`${words(at)} `, element("a", { href: address(at) }, "Open it"));
    }

    function under({ clientX, clientY }) {
      const box = picture.getBoundingClientRect();
      const column = Math.floor(((clientX - box.left) / box.width) * columns);
      const row = Math.floor(((clientY - box.top) / box.height) * lines);
      const [layer, neuron] = [Math.floor(row / (rows + gap)), (row % (rows + gap)) * columns + column];
      const inside = column >= 0 && column < columns && row >= 0 && row < lines;
      return inside && row % (rows + gap) < rows && neuron < width ? { layer, neuron } : null;
    }

    // Along a layer, and from its last row to the next layer's first.
    function moved(key) {
      const { layer, neuron } = at;
      const column = neuron % columns;
      const last = (own) => (own + columns * (rows - 1) < width ? own + columns * (rows - 1) : own + columns * (rows - 2));
      const to = {
        ArrowLeft: [layer, neuron - 1],
        ArrowRight: [layer, neuron + 1],
        ArrowUp: neuron >= columns ? [layer, neuron - columns] : [layer - 1, last(column)],
        ArrowDown: neuron + columns < width ? [layer, neuron + columns] : [layer + 1, column],
        PageUp: [layer - 1, neuron],
        PageDown: [layer + 1, neuron],
        Home: [layer, 0],
        End: [layer, width - 1],
      }[key];
      return to && { layer: to[0], neuron: to[1] };
    }

    frame.addEventListener("pointermove", (event) => {
      const found = event.pointerType === "touch" ? null : under(event);
      if (found) show(found);
    });
    frame.addEventListener("click", (event) => {
      const found = under(event);
      if (!found) return;
      show(found);
      if (event.pointerType !== "touch") open(); // a finger covers many: it chooses, and the link opens
    });
    frame.addEventListener("focus", () => show(at ?? { layer: 0, neuron: 0 }));
    frame.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const opens = event.key === "Enter" || event.key === " ";
      const to = opens ? null : moved(event.key);
      if (!opens && !to) return;
      event.preventDefault();
      if (opens) open();
      else if (to.layer >= 0 && to.layer < layers && to.neuron >= 0 && to.neuron < width) show(to);
    });
    figure.dataset.drawn = "true";
  }

  Object.assign(globalThis.neuroglot, { map });
})();
