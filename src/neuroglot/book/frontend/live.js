// In Jupyter: the same, with thresholds that Python sees and sets (an anywidget module, made by widgets.py).
export default {
  async render({ model, el }) {
    await neuroglotVega(model);
    const { browser, explorer, unpack } = neuroglot;
    const given = model.get("given");
    const view = model.get("data");
    const values = await unpack(given.head, new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
    const traits = { topRate: "top_rate", lam: "lam", quantile: "quantile", languages: "languages", layer: "layer", neuron: "neuron", among: "among" };
    const own = Object.entries(traits).filter(([, trait]) => model.get(trait) !== undefined);
    const settings = () => Object.fromEntries(own.map(([name, trait]) => [name, model.get(trait)]));
    // What is on the screen: what Python changes is followed, what is told to Python is not heard as its echo.
    let shown = JSON.stringify(settings());
    let telling = false;
    const tell = (fresh) => {
      telling = true;
      for (const [name, trait] of own) if (fresh[name] !== undefined) model.set(trait, fresh[name]);
      telling = false;
      shown = JSON.stringify(settings());
      model.save_changes();
    };
    const waiting = new Map();
    model.on("msg:custom", ({ contexts, error, layer, neuron }) => {
      const [resolve, reject] = waiting.get(`${layer} ${neuron}`) ?? [];
      if (error !== undefined) reject?.(new Error(error));
      else if (contexts !== undefined) resolve?.(contexts);
    });
    const ask = (layer, neuron) =>
      new Promise((resolve, reject) => {
        waiting.set(`${layer} ${neuron}`, [resolve, reject]);
        model.send({ want: [layer, neuron] });
      });
    const written = [];
    model.on("msg:custom", ({ used, refused }) => {
      if (used !== undefined) written.shift()?.[0](used);
      if (refused !== undefined) written.shift()?.[1](new Error(refused));
    });
    // The settings go along: what is told apart from this may arrive later.
    const use = (fresh) =>
      new Promise((...answers) => {
        written.push(answers);
        const given = own.filter(([name]) => fresh[name] !== undefined).map(([name, trait]) => [trait, fresh[name]]);
        model.send({ use: Object.fromEntries(given) });
      });
    const place = document.createElement("div");
    place.dataset.lmSuppressShortcuts = "true"; // what is typed here is not for JupyterLab
    el.append(place);
    const made =
      given.kind === "browser"
        ? await browser(place, { ...given, values, settings: settings(), ask: given.live ? ask : null, moved: (layer, neuron) => tell({ layer, neuron }) })
        : await explorer(place, { ...given, values, settings: settings(), changed: tell, use: given.use ? use : null });
    const follow = () => {
      const now = JSON.stringify(settings());
      if (telling || now === shown) return;
      shown = now;
      (made.explorer ?? made.browser).set(settings());
    };
    for (const [, trait] of own) model.on(`change:${trait}`, follow);
    return () => own.forEach(([, trait]) => model.off(`change:${trait}`, follow));
  },
};
