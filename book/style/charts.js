// Draw every chart of the page: a div, followed by its Vega-Lite specification.
document.addEventListener("DOMContentLoaded", () => {
  const options = {
    renderer: "svg",
    actions: { export: true, source: false, compiled: false, editor: false },
  };
  for (const place of document.querySelectorAll("div.neuroglot-chart")) {
    const source = place.nextElementSibling;
    if (!source || source.type !== "application/json") continue;
    vegaEmbed(place, JSON.parse(source.textContent), options).then(
      (result) => {
        place.view = result.view;
        place.dataset.drawn = "true";
      },
      (error) => {
        place.textContent = `This chart could not be drawn: ${error.message}`;
        console.error(error);
      },
    );
  }
});
