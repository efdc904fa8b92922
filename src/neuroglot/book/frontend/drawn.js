// In Jupyter: a chart of the book, whose selections Python sees (an anywidget module, made by charts/live.py).
export default {
  async render({ model, el }) {
    await neuroglotVega(model);
    const place = document.createElement("div");
    place.className = "neuroglot-chart";
    place.dataset.lmSuppressShortcuts = "true"; // what is typed here is not for JupyterLab
    el.append(place);
    let waiting;
    const tell = (name, value) => {
      model.set("chosen", { ...model.get("chosen"), [name]: JSON.parse(JSON.stringify(value ?? {})) });
      clearTimeout(waiting); // a brush that is drawn speaks at every move
      waiting = setTimeout(() => model.save_changes(), 50);
    };
    neuroglotCharts.keep(place, model.get("spec"), (view) => {
      for (const name of model.get("selections")) view.addSignalListener(name, tell);
    });
  },
};
