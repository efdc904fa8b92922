// What each detector says of one neuron: in the book's pages and in Jupyter.
(() => {
  const { address, count, element, follow, fromBase64, inTurn, inflate, linked, neuronBoxes } = neuroglot;

  // What lookup.py packs, read.
  class Said {
    constructor(head, bytes) {
      Object.assign(this, head, { bytes });
      [this.layers, this.width] = head.shape;
      this.size = this.layers * this.width;
      this.wide = Math.ceil(head.languages.length / 8);
    }

    static async read(head, packed) {
      return new Said(head, await inflate(fromBase64(packed)));
    }

    // Of one detector: language and rank (0: no score; beyond `kept`: not known), languages it is among the first of,
    // languages that the detector chooses it for.
    of(detector, i) {
      const { bytes, languages, size, wide } = this;
      const start = detector * size * (6 + 2 * wide);
      const number = (first, planes) => {
        let value = 0;
        for (let plane = first; plane < first + planes; plane++) value = 256 * value + bytes[start + plane * size + i];
        return value;
      };
      const among = (plane) => languages.filter((_, j) => bytes[start + plane * size + i * wide + (j >> 3)] & (128 >> (j & 7)));
      return { language: languages[number(0, 2)], rank: number(2, 4), first: among(6), chosen: among(6 + wide) };
    }
  }

  // As lookup.py has them for paper.
  function cells(said, i) {
    return said.detectors.map(({ name, chooses, scored }, detector) => {
      const { language, rank, first, chosen } = said.of(detector, i);
      const all = scored[said.languages.indexOf(language)]; // neurons with a score
      const known = rank <= said.kept ? `${count(rank)} of ${count(all)} (${language})` : `beyond ${count(said.kept)}`;
      const names = (codes) => codes.join(" ") || "none";
      return [name, rank ? known : "no score", names(first), chooses ? names(chosen) : "makes none"];
    });
  }

  const heads = (number) => ["detector", "best rank", `among the first ${count(number)} of`, "its own choice"];

  function summary(said, layer, neuron) {
    const each = said.detectors.map((_, detector) => said.of(detector, layer * said.width + neuron).first);
    const some = each.filter((codes) => codes.length).length;
    const times = said.languages.map((code) => [code, each.filter((codes) => codes.includes(code)).length]);
    const most = times.filter(([, n]) => n).sort(([, a], [, b]) => b - a);
    const which = most.length ? ` (${most.map(([code, n]) => `${code} ${n}`).join(", ")})` : "";
    return (
      `Layer ${layer}, neuron ${neuron}. Detectors that have it among the first ${count(said.number)} of a language: ` +
      `${some} of ${said.detectors.length}${which}.`
    );
  }

  /**
   * Fill a place with the lookup.
   * given: head and packed (see lookup.py), settings (layer, neuron), browser (address of the page that shows single
   * neurons), addressed, moved(layer, neuron).
   */
  async function lookup(place, given) {
    const said = await Said.read(given.head, given.packed);
    const settings = { ...given.settings };
    const boxes = neuronBoxes(said.layers, said.width, go, said.widths);
    const facts = element("p", { class: "neuroglot-status", role: "status" });
    const name = "Table: what each detector says of the neuron";
    const list = element("div", { class: "neuroglot-list", tabindex: 0, role: "region", "aria-label": name });
    const more = element("p", { hidden: !given.browser });
    place.classList.add("neuroglot-lookup");
    place.setAttribute("role", "region");
    place.setAttribute("aria-label", "What each detector says of a neuron");
    place.replaceChildren(element("div", { class: "neuroglot-controls" }, ...boxes.places), facts, list, more);

    async function go(layer, neuron) {
      await set({ layer, neuron });
      if (given.addressed) address.write(settings);
      given.moved?.(settings.layer, settings.neuron);
    }

    function update(fresh) {
      Object.assign(settings, fresh);
      const [layer, neuron] = ([settings.layer, settings.neuron] = boxes.show(settings.layer, settings.neuron));
      facts.textContent = summary(said, layer, neuron);
      const row = ([first, ...rest]) =>
        element("tr", {}, element("th", { scope: "row" }, first), ...rest.map((cell) => element("td", {}, cell)));
      list.replaceChildren(
        element(
          "table",
          {},
          element("thead", {}, element("tr", {}, ...heads(said.number).map((head) => element("th", { scope: "col" }, head)))),
          element("tbody", {}, ...cells(said, layer * said.width + neuron).map(row)),
        ),
      );
      if (given.browser) more.replaceChildren(linked(given.browser, { layer, neuron }, "What it fires on"));
      return { layer, neuron };
    }

    const set = inTurn(update);

    function asked() {
      if (!given.addressed) return {};
      const { layer, neuron } = address.read();
      return Object.fromEntries(Object.entries({ layer, neuron }).filter(([, value]) => value !== undefined));
    }

    await follow(place, facts, given.settings, asked, set);
    return Object.assign(place, { lookup: { said, set } });
  }

  Object.assign(globalThis.neuroglot, { lookup });
})();
