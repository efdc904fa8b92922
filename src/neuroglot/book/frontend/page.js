// What the explorer and the neuron browser share: elements, the page's address, charts, numbers in words.
(() => {
  // An element: attributes, listeners (onclick, ...), properties that are booleans, children.
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") made.addEventListener(name.slice(2), value); // what it gives cancels nothing
      else if (typeof value === "boolean") made[name] = value;
      else if (value !== undefined) made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }

  let labels = 0;
  // A control with its label; `extra` follows it.
  function labelled(text, control, ...extra) {
    control.id ||= `neuroglot-${++labels}`;
    return element("div", { class: "neuroglot-control" }, element("label", { for: control.id }, text), control, ...extra);
  }

  // What is typed into a box is taken at Enter, also where that fires no change (JupyterLab), and when it is left.
  function typed(attributes, taken) {
    const take = () => {
      delete input.dataset.typing;
      taken();
    };
    const input = element("input", {
      type: "number",
      ...attributes,
      oninput: () => (input.dataset.typing = "true"),
      onchange: take,
      onblur: () => delete input.dataset.typing,
      onkeydown: (event) => event.key === "Enter" && take(),
    });
    return input;
  }

  // What a box shows; what is being typed into it stays.
  function fill(input, value) {
    if (!input.dataset.typing) input.value = value;
  }

  /**
   * Boxes for a layer and a neuron, labelled. go(layer, neuron) is called with what is typed, which may be beyond the
   * ends; an empty box asks for nothing.
   * show(layer, neuron): fills them, within the ends, and gives both.
   */
  function neuronBoxes(layers, width, go, widths = Array(layers).fill(width)) {
    const most = { layer: layers - 1, neuron: width - 1 };
    const names = Object.keys(most);
    const shown = {};
    const asked = () => go(...names.map((name) => boxes[name].value || shown[name]));
    const box = (name) => [name, typed({ min: 0, max: most[name], step: 1, "data-name": name }, asked)];
    const boxes = Object.fromEntries(names.map(box));
    return {
      places: names.map((name) => labelled(name, boxes[name])),
      show(...wanted) {
        names.forEach((name, at) => {
          if (name === "neuron") most.neuron = boxes.neuron.max = widths[shown.layer] - 1;
          shown[name] = Math.min(Math.max(Math.trunc(Number(wanted[at])) || 0, 0), most[name]);
          // Of a layer without neurons the next one that has some, or else the last.
          const next = widths.findIndex((own, layer) => own && layer >= shown.layer);
          if (name === "layer") shown.layer = next < 0 ? widths.findLastIndex(Boolean) : next;
          fill(boxes[name], shown[name]);
        });
        return names.map((name) => shown[name]);
      },
    };
  }

  // The address of a neuron on another page, in front of its reader; nothing where there is no such page.
  const linked = (page, settings, ...said) =>
    page ? element("a", { href: `${page}#${new URLSearchParams(settings)}` }, ...said) : null;

  function select(options, value, onchange) {
    const made = element("select", { onchange });
    for (const [option, text] of options) made.append(element("option", { value: option }, text));
    made.value = value;
    return made;
  }

  // Settings after the # of the page's address, so that a view can be shared.
  const address = {
    read: () => Object.fromEntries(new URLSearchParams(location.hash.slice(1))),
    write(settings) {
      const now = { ...address.read(), ...settings };
      const kept = Object.entries(now).filter(([name, value]) => name && value !== "" && value !== null);
      history.replaceState(history.state, "", `#${new URLSearchParams(kept)}`);
    },
  };

  const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

  function save(name, text) {
    const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    element("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  // Text that a spreadsheet would take for a formula begins with an apostrophe; negative numbers are numbers.
  const csv = (rows) => {
    const plain = (cell) => (typeof cell === "string" && /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell);
    const quoted = (cell) => (/[",\n\r]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : cell);
    return rows.map((row) => row.map(plain).map(quoted).join(",") + "\n").join("");
  };

  // Names that every object has are no keys for Vega; a space without width sets them apart (see charts/theme.py).
  const nameable = (rows) =>
    rows.map((row) =>
      Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value in Object.prototype ? `${value}\u200b` : value])),
    );

  // A Vega-Lite chart whose named data can be replaced.
  async function chart(place, spec, rows, name) {
    const actions = { export: true, source: false, compiled: false, editor: false };
    const options = { renderer: "svg", ast: true, actions, downloadFileName: name }; // ast: see charts.js
    const datasets = Object.fromEntries(Object.entries(rows).map(([data, values]) => [data, nameable(values)]));
    const { view } = await globalThis.vegaEmbed(place, { ...spec, datasets }, options);
    place.querySelector(":scope > details > summary")?.setAttribute("aria-label", "Save this chart");
    place.view = view;
    return {
      view,
      async show(fresh) {
        for (const [data, values] of Object.entries(fresh)) view.data(data, nameable(values));
        await view.resize().runAsync(); // the axes' labels may need more room
      },
    };
  }

  const count = (n) => n.toLocaleString("en");

  // One call after the other: two at once would both draw.
  function inTurn(update) {
    let last = Promise.resolve();
    return (fresh) => (last = last.catch(() => {}).then(() => update(fresh)));
  }

  /**
   * Show in a place what the page's address asks for, now and whenever it changes, and go there; what it does not
   * name is as in `own`. Where it cannot be had: the page's own settings, and why.
   * asked(): what the address names; set(settings): shows them, null where they are refused and `status` says why.
   */
  async function follow(place, status, own, asked, set) {
    const show = async (found) => {
      if (await set({ ...own, ...found })) return;
      const why = status.textContent;
      if (await set(own)) status.textContent = `${why} These are the page's own settings: ${status.textContent}`;
    };
    const restore = async (found) => {
      await show(found);
      if (Object.keys(found).length) reveal(place);
    };
    addEventListener("hashchange", () => {
      const found = asked();
      if (Object.keys(found).length) restore(found); // else it is a heading's address
    });
    await restore(asked());
  }

  // Bring the reader to a place, framed until they go on.
  function reveal(place) {
    place.tabIndex = -1;
    place.dataset.opened = "true";
    place.addEventListener("blur", () => delete place.dataset.opened, { once: true });
    place.focus({ preventScroll: true });
    place.scrollIntoView({ block: "start" });
  }

  Object.assign(globalThis.neuroglot, {
    ...{ address, chart, count, csv, element, fill, follow, fromBase64, inTurn, labelled, linked, neuronBoxes, save, select },
    typed,
  });
})();
