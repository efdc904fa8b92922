// In the book's pages: fill every place that brings its data along as JSON.
document.addEventListener("DOMContentLoaded", () => {
  const { browser, explorer, fromBase64, lookup, map, unpack } = neuroglot;
  for (const place of document.querySelectorAll("div[data-neuroglot]:has(> script)")) {
    const { data, ...given } = JSON.parse(place.querySelector("script[type='application/json']").textContent);
    const fallback = [...place.childNodes];
    const start = async () => {
      const values = data && (await unpack(given.head, fromBase64(data)));
      await { browser, explorer, lookup }[place.dataset.neuroglot](place, { ...given, values, addressed: true });
      place.dataset.drawn = "true";
    };
    start().catch((error) => {
      place.replaceChildren(...fallback);
      console.error(error);
    });
  }
  for (const figure of document.querySelectorAll(".neuroglot-map[data-browser]")) map(figure).catch(console.error);
});
