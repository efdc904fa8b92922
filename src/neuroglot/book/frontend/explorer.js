// Sliders for every threshold, and what they make of all neurons: in the book's pages and in Jupyter.
(() => {
  const { KINDS, Refusal, Identifier, address, chart, count, csv, element, fill, follow, fromBase64, labelled, linked, save, select, typed, unpackPlaces } = neuroglot;
  const TYPED = KINDS.slice(1);
  const LISTED = 40;

  // Without what units leave behind the 15th digit (100 * 0.07 is 7.000000000000001).
  const exact = (value) => Number(value.toPrecision(15));

  // A range and a number that show one value, in units of `unit`.
  function slider(text, { min, max, step, unit = 1 }, changed) {
    const limits = { min, max, step };
    let shown = "";
    const moved = (input) => {
      const value = Number(input.value);
      if (input.value === "" || !Number.isFinite(value)) return fill(number, shown);
      (input === range ? number : range).value = value;
      changed(exact(value * unit));
    };
    const number = typed({ "aria-label": `${text}, as a number`, ...limits, step: "any" }, () => moved(number));
    const range = element("input", { type: "range", ...limits, oninput: () => moved(range) });
    return {
      place: labelled(text, range, number),
      show(value) {
        shown = exact(value / unit);
        range.max = Math.max(range.max, shown);
        range.min = Math.min(range.min, shown);
        range.value = shown;
        fill(number, shown);
      },
      enable: (able) => (range.disabled = number.disabled = !able),
    };
  }

  // Types counted the way the charts show them.
  function summary(identifier, { codes, n, languages }) {
    const { layers, width } = identifier;
    const k = languages.length;
    const layer = Array.from({ length: layers }, () => [0, 0, 0, 0]);
    const shared = Array.from({ length: k + 1 }, () => [0, 0, 0, 0]);
    const language = languages.map(() => [0, 0, 0, 0]);
    codes.forEach((code, i) => {
      if (!code) return;
      layer[Math.floor(i / width)][code]++;
      shared[n[i]][code]++;
      if (code === 3) return;
      for (let j = 0; j < k; j++) if (identifier.isActive(j, i)) language[j][code]++;
    });
    const rows = (name, places, counts, kinds) =>
      counts.flatMap((own, at) => kinds.map((kind) => ({ [name]: places(at), kind, neurons: own[KINDS.indexOf(kind)] })));
    return {
      layers: rows("layer", (i) => i, layer, TYPED),
      shared: rows("n", (i) => i, shared, TYPED).filter((row) => row.n),
      languages: rows("language", (j) => languages[j], language, TYPED.slice(0, 2)),
    };
  }

  // Settings in the page's address, by the names of the command line.
  const toAddress = ({ topRate, lam, quantile, languages }, all) => ({
    top_rate: topRate,
    lambda: lam ?? "solve",
    quantile,
    languages: languages.length === all.length ? "" : languages.map((code) => code.replaceAll("~", "~0").replaceAll(".", "~1")).join("."),
  });

  function fromAddress(said, all) {
    const found = {};
    const number = (name) => (said[name] && Number.isFinite(Number(said[name])) ? Number(said[name]) : undefined);
    if (number("top_rate") !== undefined) found.topRate = number("top_rate");
    if (said.lambda !== undefined) found.lam = number("lambda") ?? null;
    if (number("quantile") !== undefined) found.quantile = number("quantile");
    const named = said.languages?.split(".").map((code) => code.replaceAll("~1", ".").replaceAll("~0", "~"));
    if (named) found.languages = [...all.filter((code) => named.includes(code)), ...named.filter((code) => !all.includes(code))];
    else if (Object.keys(found).length) found.languages = all; // as they are left out of the address
    return found;
  }

  // The settings of a result, for readers.
  const inWords = ({ topRate, lam, solved, quantile, languages }) =>
    `top rate ${exact(100 * topRate)} %, lambda ${Number(lam.toFixed(6))} (${solved ? "solved" : "given"}), ` +
    `quantile ${quantile}, ${languages.length} languages`;

  // Settings as identification.classify has them, for files' names.
  const inName = ({ topRate, lam, quantile }, detector) =>
    `${detector ? `${detector}-` : ""}top${topRate}-${detector ? "" : `lambda${Number(lam.toFixed(6))}-`}quantile${quantile}`;

  /**
   * Fill a place with the explorer.
   * given: head and values (see identify.js), scaled, specs of the three charts, settings to begin with, run (a
   * name), detector and places (another one than lambda-score, and whom it selects), browser and detectors (addresses of the pages that show single neurons, and what each detector says of
   * them), addressed (keep settings in the address),
   * changed(settings), called after a reader's change, use(settings) (live: writes the types, and says so).
   */
  async function explorer(place, given) {
    const all = given.head.languages;
    const other = given.detector; // which has no lambda, and scores all languages together
    const places = other ? await unpackPlaces(fromBase64(given.places)) : null;
    const identifier = new Identifier(given.head, given.values, given.scaled, places);
    const begun = { languages: all, lam: null, ...given.settings };
    const settings = { ...begun };
    let [result, lam, timer, took] = [null, 0, 0, 0]; // lam: the one last shown

    const view = () => ({ ...toAddress(settings, all), ...(other ? { lambda: "" } : {}) });
    const moved = (name) => (value) => later({ [name]: value });
    const sliders = {
      topRate: slider("top rate (%)", { min: 0.1, max: 20, step: 0.1, unit: 0.01 }, moved("topRate")),
      lam: slider("lambda", { min: 0, max: 2, step: 0.001 }, moved("lam")),
      quantile: slider("quantile", { min: 0.5, max: 0.999, step: 0.001 }, moved("quantile")),
    };
    const solve = element("input", { type: "checkbox", onchange: () => later({ lam: solve.checked ? null : lam }) });
    const boxes = all.map((code) => {
      const own = element("input", { type: "checkbox", value: code, onchange: () => later({ languages: ticked() }) });
      return [own, element("label", {}, own, ` ${code}`)];
    });
    const ticked = () => boxes.filter(([box]) => box.checked).map(([box]) => box.value);
    const status = element("p", { class: "neuroglot-status", role: "status" });
    const pictures = Object.fromEntries(
      Object.keys(given.specs).map((name) => [name, element("div", { class: `neuroglot-chart neuroglot-${name}` })]),
    );
    const which = { kind: "specific", layer: "", language: "", n: "" };
    const list = element("div", { class: "neuroglot-list", tabindex: 0, role: "region", "aria-label": "Table: neurons" });
    const chosen = element("div", { class: "neuroglot-controls" });
    const link = element("button", { type: "button", onclick: copy }, "Copy the address of this view");
    const tables = [
      element("button", { type: "button", onclick: () => table("counts", countRows) }, "Counts (CSV)"),
      element("button", { type: "button", onclick: () => table("neurons", neuronRows) }, "Neurons (CSV)"),
    ];
    const use = given.use ? element("button", { type: "button", onclick: write }, "Use these") : null;
    const back = (text, to) => element("button", { type: "button", onclick: () => later(to) }, text);
    place.classList.add("neuroglot-explorer");
    place.setAttribute("role", "region");
    place.setAttribute("aria-label", "Threshold explorer");
    place.replaceChildren(
      element(
        "div",
        { class: "neuroglot-controls" },
        sliders.topRate.place,
        ...(other ? [] : [sliders.lam.place, labelled("solve lambda", solve)]),
        sliders.quantile.place,
        other
          ? null
          : element("fieldset", {}, element("legend", {}, "languages that take part"), ...boxes.map(([, label]) => label)),
      ),
      element(
        "div",
        { class: "neuroglot-buttons" },
        back("The paper's settings", { topRate: 0.01, lam: null, quantile: 0.95, languages: all }),
        back("Reset", begun),
      ),
      status,
      ...Object.values(pictures),
      element(
        "div",
        { class: "neuroglot-buttons" },
        use,
        ...tables,
        given.addressed ? link : null,
      ),
      element("details", { ontoggle: listNeurons }, element("summary", {}, "Which neurons are they?"), chosen, list),
    );

    // A table of what is on the screen.
    function table(name, rows) {
      save(`${files()}-${name}.csv`, csv(rows()));
    }

    function files() {
      return `${given.run ?? "neurons"}-${inName(result, other)}`;
    }

    // The types become those of the run, at the thresholds that were set last, drawn yet or not; what that makes out of
    // date is said.
    async function write() {
      use.disabled = true;
      clearTimeout(timer);
      if (await set({})) {
        const written = given.use({ ...settings });
        given.changed?.({ ...settings });
        status.textContent = "Writing ...";
        status.textContent = await written.catch((error) => error.message);
      }
      use.disabled = false;
    }

    async function copy() {
      address.write(view());
      try {
        await navigator.clipboard.writeText(location.href);
        link.textContent = "Copied";
      } catch {
        link.textContent = "Copy it from the address bar"; // a page may not where it is not served securely
      }
      setTimeout(() => (link.textContent = "Copy the address of this view"), 1500);
    }

    // The numbers on the screen.
    function countRows() {
      const shown = summary(identifier, result);
      const rows = Object.entries(shown).flatMap(([name, counts]) =>
        counts.map(({ kind, neurons, ...at }) => [name, Object.values(at)[0], kind, neurons]),
      );
      return [["by", "place", "type", "neurons"], ...rows];
    }

    const head = ["layer", "neuron", "type", "N", "languages", other ? `place by ${other}` : "score"];
    function row(i) {
      const codes = result.languages.filter((_, j) => identifier.isActive(j, i));
      const own = [Math.floor(i / identifier.width), i % identifier.width, KINDS[result.codes[i]], result.n[i]];
      const score = identifier.score(i, result.lam);
      return [...own, codes.join(" "), Number.isFinite(score) ? score : ""];
    }

    function ofType(wanted = () => true) {
      const found = [];
      result.codes.forEach((code, i) => code && wanted(i, code) && found.push(i));
      return identifier.byScore(found, result.lam);
    }

    function neuronRows() {
      return [head, ...ofType().map(row)];
    }

    function listNeurons() {
      if (!list.closest("details").open || !result) return;
      const any = ["", "any"];
      const options = {
        kind: [any, ...TYPED.map((kind) => [kind, kind])],
        layer: [any, ...Array.from({ length: identifier.layers }, (_, i) => [String(i), String(i)])],
        language: [any, ...result.languages.map((code) => [code, code])],
        n: [any, ...result.languages.map((_, i) => [String(i + 1), String(i + 1)])],
      };
      const named = { kind: "type", layer: "layer", language: "language", n: "N" };
      const menus = Object.entries(options).map(([name, own]) => {
        if (!own.some(([value]) => value === which[name])) which[name] = "";
        const menu = select(own, which[name], () => ((which[name] = menu.value), listNeurons()));
        return labelled(named[name], menu);
      });
      const focused = [...chosen.querySelectorAll("select")].indexOf(document.activeElement);
      chosen.replaceChildren(...menus);
      chosen.querySelectorAll("select")[focused]?.focus();
      const j = result.languages.indexOf(which.language);
      const found = ofType(
        (i, code) =>
          (!which.kind || KINDS[code] === which.kind) &&
          (!which.layer || Math.floor(i / identifier.width) === Number(which.layer)) &&
          (!which.n || result.n[i] === Number(which.n)) &&
          (j < 0 || identifier.isActive(j, i)),
      );
      const cells = found.slice(0, LISTED).map(row).map(([layer, neuron, ...rest]) => {
        const place = new URLSearchParams({ ...view(), layer, neuron });
        const name = linked(given.browser, place, neuron) ?? neuron;
        rest[3] = other ? count(rest[3]) : rest[3].toFixed(4);
        const more = linked(given.detectors, { layer, neuron }, "what each detector says");
        more?.setAttribute("aria-label", `what each detector says of layer ${layer}, neuron ${neuron}`);
        return element("tr", {}, ...[layer, name, ...rest, ...(more ? [more] : [])].map((cell) => element("td", {}, cell)));
      });
      const shown = given.detectors ? [...head, "detectors"] : head;
      list.replaceChildren(
        element("p", {}, `${count(found.length)} neurons${found.length > LISTED ? `, the ${LISTED} of ${other ? "the best places" : "lowest score"}` : ""}.`),
        element(
          "table",
          {},
          element("thead", {}, element("tr", {}, ...shown.map((name) => element("th", { scope: "col" }, name)))),
          element("tbody", {}, ...cells),
        ),
      );
    }

    function showSettings() {
      sliders.topRate.show(settings.topRate);
      sliders.quantile.show(settings.quantile);
      solve.checked = settings.lam === null;
      sliders.lam.enable(!solve.checked);
      if (result && !other) sliders.lam.show((lam = result.lam));
      for (const [box] of boxes) box.checked = settings.languages.includes(box.value);
    }

    // Take settings over, classify, show; a refusal says why, and leaves the charts as they are unless no view is left.
    let drawn = null;
    async function update(fresh) {
      Object.assign(settings, fresh);
      const start = performance.now();
      try {
        result = identifier.classify(settings);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        if (settings.languages.length < 2) clear();
        if (result) identifier.classify(result); // what is shown is listed and saved
        showSettings();
        able(false);
        status.textContent = error.message;
        return null;
      }
      able(true);
      const rows = summary(identifier, result);
      const totals = TYPED.map((kind) => [kind, rows.layers.reduce((sum, own) => sum + (own.kind === kind) * own.neurons, 0)]);
      showSettings();
      status.textContent =
        `${other ?? `lambda ${Number(result.lam.toFixed(6))} (${result.solved ? "solved" : "given"})`}, ` +
        `tau ${result.tau.toFixed(4)}: ` +
        `${totals.map(([kind, n]) => `${count(n)} ${kind}`).join(", ")}; ${count(result.number)} neurons selected.` +
        (result.starved
          ? ` ${count(result.starved)} neurons saw fewer than ${given.head.minTokens} tokens of a language and are unclassified.`
          : "") +
        (result.bounded === false ? " Every larger lambda would do as well." : "");
      drawn ??= Object.fromEntries(
        await Promise.all(
          Object.entries(pictures).map(async ([name, at]) => {
            const made = await chart(at, given.specs[name], { [name]: rows[name] }, `${given.run ?? "neuroglot"}-${name}`);
            made.view.addEventListener("click", (_, item) => item?.datum?.kind && pick(item.datum));
            return [name, made];
          }),
        ),
      );
      await Promise.all(Object.entries(drawn).map(([name, own]) => own.show({ [name]: rows[name] })));
      listNeurons();
      took = performance.now() - start;
      return result;
    }

    const set = neuroglot.inTurn(update);

    // No charts and no list.
    function clear() {
      for (const { view } of Object.values(drawn ?? {})) view.finalize();
      [result, drawn] = [null, null];
      for (const at of [list, ...Object.values(pictures)]) at.replaceChildren();
    }

    // A view that was refused has no address, and what is not on the screen is not saved.
    function able(shown) {
      link.disabled = !shown;
      for (const button of tables) button.disabled = !result;
      if (use) use.disabled = !shown;
    }

    // A click on a bar lists its neurons.
    function pick({ kind, layer, language, n }) {
      Object.assign(which, { kind, layer: String(layer ?? ""), language: language?.replace("\u200b", "") ?? "", n: String(n ?? "") });
      list.closest("details").open = true;
      listNeurons();
    }

    // After a reader's change: at once, or, where that takes long, when the slider rests.
    function later(fresh) {
      Object.assign(settings, fresh);
      clearTimeout(timer);
      timer = setTimeout(async () => {
        if (!(await set({}))) return;
        if (given.addressed) address.write(view());
        given.changed?.({ ...settings });
      }, took > 100 ? 100 : 0);
    }

    const asked = () => (given.addressed ? fromAddress(address.read(), all) : {});
    await follow(place, status, begun, asked, set);
    return Object.assign(place, { explorer: { identifier, set, result: () => result, took: () => took } });
  }

  Object.assign(globalThis.neuroglot, { explorer, fromAddress, inWords, toAddress });
})();
