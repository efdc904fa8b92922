// In Jupyter: what each detector says of the neuron that Python sees and sets (an anywidget module, made by lookup.py).
export default {
  async render({ model, el }) {
    const place = document.createElement("div");
    place.dataset.lmSuppressShortcuts = "true"; // what is typed here is not for JupyterLab
    el.append(place);
    const settings = () => ({ layer: model.get("layer"), neuron: model.get("neuron") });
    const moved = (layer, neuron) => {
      model.set("layer", layer);
      model.set("neuron", neuron);
      model.save_changes();
    };
    const { lookup } = await neuroglot.lookup(place, { ...model.get("given"), settings: settings(), moved });
    const follow = () => lookup.set(settings());
    for (const name of ["layer", "neuron"]) model.on(`change:${name}`, follow);
    return () => ["layer", "neuron"].forEach((name) => model.off(`change:${name}`, follow));
  },
};
