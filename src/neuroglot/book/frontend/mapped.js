// In Jupyter: the map of all neurons, of which a rectangle can be chosen (an anywidget module, made by charts/live.py).
export default {
  async render({ model, el }) {
    el.innerHTML = model.get("figure");
    const figure = el.querySelector("figure");
    figure.dataset.lmSuppressShortcuts = "true"; // what is typed here is not for JupyterLab
    await neuroglot.map(figure, (chosen) => {
      model.set("chosen", chosen ?? {});
      model.save_changes();
    });
  },
};
