// In the book's pages: fill every place that brings its data along as JSON.
document.addEventListener("DOMContentLoaded", () => {
  const { browser, explorer, fromBase64, unpack } = neuroglot;
  for (const place of document.querySelectorAll("div[data-neuroglot]:has(> script)")) {
    const { data, ...given } = JSON.parse(place.querySelector("script[type='application/json']").textContent);
    const fallback = [...place.childNodes];
    const start = async () => {
      const values = await unpack(given.head, fromBase64(data));
      await { browser, explorer }[place.dataset.neuroglot](place, { ...given, values, addressed: true });
      place.dataset.drawn = "true";
    };
    start().catch((error) => {
      place.replaceChildren(...fallback);
      console.error(error);
    });
  }
  // A click on the map of all neurons opens the neuron under it; the browser's own controls do so by keyboard.
  for (const map of document.querySelectorAll(".neuroglot-map[data-browser]")) {
    const { browser: page, ...sizes } = map.dataset;
    const [columns, rows, layers, width, gap] = ["columns", "rows", "layers", "width", "gap"].map((name) => Number(sizes[name]));
    const picture = map.querySelector("img");
    const neuronAt = ({ offsetX, offsetY }) => {
      const column = Math.floor((offsetX / picture.clientWidth) * columns);
      const row = Math.floor((offsetY / picture.clientHeight) * (layers * (rows + gap) - gap));
      const [layer, neuron] = [Math.floor(row / (rows + gap)), (row % (rows + gap)) * columns + column];
      return row % (rows + gap) < rows && neuron < width ? { layer, neuron } : null;
    };
    picture.style.cursor = "pointer";
    picture.addEventListener("mousemove", (event) => {
      const found = neuronAt(event);
      picture.title = found ? `layer ${found.layer}, neuron ${found.neuron}` : "";
    });
    picture.addEventListener("click", (event) => {
      const found = neuronAt(event);
      if (found) location.href = `${page}#${new URLSearchParams(found)}`;
    });
  }
});
