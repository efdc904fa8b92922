// Draw every chart of the page: a div that holds a static picture, followed by its specification.
document.addEventListener("DOMContentLoaded", () => {
  const options = {
    renderer: "svg",
    actions: { export: true, source: false, compiled: false, editor: false },
  };
  for (const place of document.querySelectorAll("div.neuroglot-chart")) {
    const source = place.nextElementSibling;
    if (!source || source.type !== "application/json") continue;
    const picture = place.innerHTML;
    vegaEmbed(place, JSON.parse(source.textContent), options).then(
      (result) => {
        place.view = result.view;
        place.dataset.drawn = "true";
      },
      (error) => {
        place.innerHTML = picture; // without its tooltips and sliders, but with its numbers
        console.error(error);
      },
    );
  }
});
