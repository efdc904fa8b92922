// One neuron at a time: its probabilities, type and rank, the text it fires on, and its neighbours.
(() => {
  const { KINDS, Refusal, Identifier, address, chart, count, element, follow, fromAddress, fromBase64, inflate, inWords, labelled, linked, neuronBoxes, select } =
    neuroglot;
  const NEIGHBOURS = 8;

  // The contexts of contexts.TopContexts.for_page, read.
  class Contexts {
    static async read(page) {
      const block = async (text) => (await inflate(fromBase64(text))).buffer;
      const numbers = async (text) => new Int32Array(await block(text));
      const made = new Contexts();
      Object.assign(made, page, {
        texts: JSON.parse(new TextDecoder().decode(await block(page.texts))),
        spans: await numbers(page.spans),
        passage: await numbers(page.passage),
        first: await numbers(page.first),
        shades: new Uint8Array(await block(page.shades)),
        rows: new Map(page.layers.map((layer, row) => [`${layer} ${page.neurons[row]}`, row])),
        starts: [0],
      });
      for (const tokens of page.tokens) made.starts.push(made.starts.at(-1) + tokens);
      return made;
    }

    // Of each language, contexts as pieces [text, shade from 0 to 1, whether of the response]; null for another neuron.
    of(layer, neuron) {
      const row = this.rows.get(`${layer} ${neuron}`);
      if (row === undefined) return null;
      const slots = this.contexts;
      return this.languages.map((language, k) => {
        const found = [];
        for (let slot = 0; slot < slots; slot++) {
          const at = (row * this.languages.length + k) * slots + slot;
          if (this.passage[at] >= 0) found.push(this.pieces(at));
        }
        return { language, contexts: found };
      });
    }

    pieces(at) {
      const passage = this.passage[at];
      const [text, prompt] = this.texts[this.text[passage]];
      const cells = new Map(); // tokens that share characters are one piece, with the larger shade
      let place = 0;
      for (let token = 0; token < Math.min(this.first[at] + this.window, this.tokens[passage]); token++) {
        const start = place + this.spans[2 * (this.starts[passage] + token)];
        const stop = (place = start + this.spans[2 * (this.starts[passage] + token) + 1]);
        if (token < this.first[at] || start === stop) continue;
        const shade = this.shades[at * this.window + token - this.first[at]];
        const key = `${start} ${stop}`;
        cells.set(key, { start, stop, shade: Math.max(shade, cells.get(key)?.shade ?? 0) });
      }
      const pieces = [];
      let end = null;
      for (const { start, stop, shade } of cells.values()) {
        if (end !== null && start > end) pieces.push([text.slice(end, start), 0, start > prompt]);
        pieces.push([text.slice(start, stop), shade / 255, stop > prompt]);
        end = stop;
      }
      return pieces;
    }
  }

  /**
   * Fill a place with the browser.
   * given: head and values (see identify.js), scaled, colors by type, spec of the chart, contexts (for_page) or null,
   * raised (a block of JSON: by layer and neuron a language, the mean value there and tokens) or null,
   * settings (thresholds, layer, neuron), addressed, ask(layer, neuron) for contexts that are not here (a promise of
   * for_page; null where nobody can be asked), moved(layer, neuron), detectors (address of the page that says what each
   * detector says of a neuron). Of settings, `among` are the only neurons to step
   * through, as numbers; none are all.
   */
  async function browser(place, given) {
    const all = given.head.languages;
    const identifier = new Identifier(given.head, given.values, given.scaled);
    const { layers, width } = identifier;
    const kept = given.contexts ? await Contexts.read(given.contexts) : null;
    const raised = given.raised ? JSON.parse(new TextDecoder().decode(await inflate(fromBase64(given.raised)))) : null;
    const settings = { languages: all, lam: null, ...given.settings };
    let [result, known, drawn, waiting] = [null, "", null, 0];

    const boxes = neuronBoxes(layers, width, (layer, neuron) => go(layer, neuron), given.head.widths);
    const kind = select([["", "any type"], ...KINDS.slice(1).map((name) => [name, name])], "specific");
    const language = select([["", "any language"], ...all.map((code) => [code, code])], "");
    kind.setAttribute("aria-label", "step through neurons of type");
    language.setAttribute("aria-label", "step through neurons of language");
    const button = (text, onclick) => element("button", { type: "button", onclick }, text);
    const facts = element("p", { class: "neuroglot-status", role: "status" });
    const more = element("p", { hidden: !given.detectors });
    const picture = element("div", { class: "neuroglot-chart" });
    const tokens = element("p", { class: "neuroglot-raised", dir: "auto" });
    const texts = element("div", { class: "neuroglot-texts" });
    const said = element("p", { class: "neuroglot-said" });
    const near = element("ul", { class: "neuroglot-near" });
    place.classList.add("neuroglot-browser");
    place.setAttribute("role", "region");
    place.setAttribute("aria-label", "Neuron browser");
    place.replaceChildren(
      element(
        "div",
        { class: "neuroglot-controls" },
        ...boxes.places,
        labelled("step through", kind, language, button("previous", () => step(-1)), button("next", () => step(1))),
      ),
      facts,
      more,
      picture,
      ...(raised ? [element("p", { class: "neuroglot-heading" }, "The tokens that it raises most"), tokens] : []),
      element("p", { class: "neuroglot-heading" }, "The text on which it fires most"),
      texts,
      said,
      element("p", { class: "neuroglot-heading" }, "Neurons with the nearest probabilities"),
      near,
    );

    function classify() {
      const key = JSON.stringify([settings.topRate, settings.lam, settings.quantile, settings.languages]);
      if (key !== known) result = identifier.classify(settings);
      known = key;
    }

    // The next neuron of the chosen type and language, in the order of their scores.
    function step(way) {
      const apart = language.value && !result?.languages.includes(language.value);
      if (apart) facts.textContent = `${language.value} does not take part in this view.`;
      if (!result || apart) return;
      const only = settings.among?.length ? new Set(settings.among) : null;
      const wanted = KINDS.indexOf(kind.value);
      const j = result.languages.indexOf(language.value);
      const found = [];
      result.codes.forEach((code, i) => {
        if ((only ? only.has(i) : true) && (wanted > 0 ? code === wanted : code || only) && (j < 0 || identifier.isActive(j, i))) found.push(i);
      });
      if (!found.length) return;
      identifier.byScore(found, result.lam);
      const at = found.indexOf(settings.layer * width + settings.neuron);
      const next = at < 0 ? (way > 0 ? 0 : found.length - 1) : (at + way + found.length) % found.length;
      go(Math.floor(found[next] / width), found[next] % width);
    }

    async function go(layer, neuron) {
      await set({ layer, neuron });
      if (given.addressed) address.write({ layer: settings.layer, neuron: settings.neuron });
      given.moved?.(settings.layer, settings.neuron);
    }

    function passage(pieces, color) {
      const parts = pieces.map(([text, shade, response]) => {
        const part = element(response ? "span" : "i", { title: shade ? `${Math.round(100 * shade)} % of its highest` : undefined }, text);
        if (shade) part.style.background = `${color}${Math.round(150 * shade).toString(16).padStart(2, "0")}`;
        return part;
      });
      return element("p", { dir: "auto" }, ...parts);
    }

    // What it adds to the logits has the sign of its value, so it is said for one language.
    function showTokens(own) {
      const where = own ? `At its mean value in ${own[0]}, ${own[1]}: ` : "No tokens are kept for this neuron.";
      const words = own ? own[2].map((word) => element("span", { class: "neuroglot-token" }, word)) : [];
      tokens.replaceChildren(where, ...words);
    }

    function showTexts(found, color) {
      const none = "No text is kept for this neuron in the page; the live browser finds it.";
      const shown = (found ?? []).filter(({ contexts }) => contexts.length);
      const never = (found ?? []).filter(({ contexts }) => !contexts.length).map(({ language: code }) => code);
      texts.replaceChildren(
        ...shown.map(({ language: code, contexts }) =>
          element(
            "div",
            { lang: code },
            element("strong", { lang: "en" }, code),
            ...contexts.map((pieces) => passage(pieces, color)),
          ),
        ),
      );
      said.textContent = found
        ? never.length ? `Never above zero in the counted text of ${never.join(", ")}.` : ""
        : given.ask ? "Reading the text for this neuron ..." : none;
    }

    let taken = "[]";
    async function update(fresh) {
      Object.assign(settings, fresh);
      const among = JSON.stringify(settings.among ?? []);
      if (among !== taken) kind.value = language.value = ""; // what was chosen is stepped through, whatever it is
      taken = among;
      [settings.layer, settings.neuron] = boxes.show(settings.layer, settings.neuron);
      if (given.detectors) {
        const { layer, neuron } = settings;
        more.replaceChildren(linked(given.detectors, { layer, neuron }, "What each detector says of it"));
      }
      try {
        classify();
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        known = ""; // what is shown is of other thresholds, and so is what can be stepped through
        if (result) identifier.classify(result);
        facts.textContent = error.message;
        return null;
      }
      const { layer, neuron } = settings;
      const i = layer * width + neuron;
      const type = KINDS[result.codes[i]];
      const active = result.languages.filter((_, j) => identifier.isActive(j, i));
      const rank = identifier.rank(i, result.lam);
      const standing =
        `Its score is ${identifier.score(i, result.lam).toFixed(4)}, rank ${count(rank)} of ${count(identifier.taking)}; ` +
        `the first ${count(result.number)} are selected (${inWords(result)}).`;
      const apart = `It saw fewer than ${given.head.minTokens} tokens of a language, so it takes no part.`;
      facts.textContent =
        `Layer ${layer}, neuron ${neuron} is ${type}: above tau = ${result.tau.toFixed(4)} in N = ${result.n[i]} ` +
        `${result.n[i] === 1 ? "language" : "languages"}${active.length ? ` (${active.join(" ")})` : ""}. ` +
        (identifier.starved[i] ? apart : standing) +
        (settings.among?.length ? ` Of ${count(settings.among.length)} chosen neurons; next and previous step through them.` : "");
      const probabilities = result.languages.map((code, j) => {
        const above = identifier.isActive(j, i);
        const probability = identifier.probability(all.indexOf(code), i);
        return { language: code, probability, kind: above ? type : "unclassified", above: above ? "yes" : "no" };
      });
      const rows = { probabilities, tau: [{ tau: result.tau }] };
      drawn ??= await chart(picture, given.spec, rows, `${given.run ?? "neuroglot"}-neuron`);
      await drawn.show(rows);
      const nearest = identifier.nearest(i, NEIGHBOURS);
      near.replaceChildren(
        ...nearest.map(({ neuron: other, distance }) => {
          const [itsLayer, its] = [Math.floor(other / width), other % width];
          const name = `layer ${itsLayer}, neuron ${its}`;
          const said = ` ${KINDS[result.codes[other]]}, distance ${distance.toFixed(3)}`;
          return element("li", {}, button(name, () => go(itsLayer, its)), said);
        }),
      );
      const color = given.colors[type];
      const found = kept?.of(layer, neuron) ?? null;
      showTexts(found, color);
      if (raised) showTokens(raised[`${layer} ${neuron}`]);
      if (!found && given.ask) {
        const wanted = () => settings.layer === layer && settings.neuron === neuron;
        clearTimeout(waiting); // whoever steps on does not ask for what is passed by
        waiting = setTimeout(async () => {
          if (!wanted()) return;
          try {
            const late = (await Contexts.read(await given.ask(layer, neuron))).of(layer, neuron);
            if (wanted()) showTexts(late, color);
          } catch (error) {
            if (wanted()) said.textContent = error.message;
          }
        }, 300);
      }
      return { ...result, kind: type, rank, active, nearest, texts: found };
    }

    const set = neuroglot.inTurn(update);

    function fromHash() {
      if (!given.addressed) return {};
      const said = address.read();
      const found = fromAddress(said, all);
      for (const name of ["layer", "neuron"]) if (said[name] !== undefined) found[name] = said[name];
      return found;
    }

    await follow(place, facts, { languages: all, lam: null, ...given.settings }, fromHash, set);
    return Object.assign(place, { browser: { identifier, set } });
  }

  Object.assign(globalThis.neuroglot, { browser });
})();
