// What the explorer and the neuron browser share: elements, the page's address, charts, numbers in words.
(() => {
  // An element: attributes, properties that are functions or booleans, children.
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function" || typeof value === "boolean") made[name] = value;
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
  function typed(input, taken) {
    input.onchange = taken;
    input.onkeydown = (event) => event.key === "Enter" && taken();
    return input;
  }

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
    const options = { renderer: "svg", actions, downloadFileName: name };
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

  // Where the address asks for what cannot be had: the page's own settings, and why.
  async function own(status, again) {
    const why = status.textContent;
    if (await again()) status.textContent = `${why} These are the page's own settings: ${status.textContent}`;
  }

  Object.assign(globalThis.neuroglot, { address, chart, count, csv, element, fromBase64, inTurn, labelled, own, save, select, typed });
})();
