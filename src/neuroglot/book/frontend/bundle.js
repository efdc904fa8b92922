// In the book the page brings Vega along; in Jupyter a widget that is shown first does, or else Python is asked, once.
function neuroglotVega(model) {
  const load = (bundle) => globalThis.vegaEmbed ?? new Function("define", "module", "exports", bundle)();
  if (model.get("bundle")) load(model.get("bundle"));
  if (globalThis.vegaEmbed) return Promise.resolve();
  globalThis.neuroglotAsked ??= new Promise((resolve) => {
    model.on("msg:custom", ({ bundle }) => bundle && resolve(load(bundle)));
    model.send({ need: "bundle" });
  });
  return globalThis.neuroglotAsked;
}
