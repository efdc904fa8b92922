// The theme tells the console what it does; nothing there is for a reader.
{
  const { log } = console;
  console.log = (...said) => /^\[(PST|SBT)\]/.test(said[0]) || log(...said);
}

// Opened from disk, a page may not read others, so the search shows titles without summaries.
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

// Roles and names as they are seen: a folded cell's own words, the search button's, every choice of the colour mode.
addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll("details > summary, .search-button-field")) {
    place.removeAttribute("aria-label");
  }
  for (const place of document.querySelectorAll(".theme-switch-button")) {
    place.setAttribute("aria-label", "Color mode: Light, Dark, System Settings");
  }
  // The page's policy runs no script that stands in an attribute, as the theme has it.
  document.querySelector(".btn-download-pdf-button")?.addEventListener("click", () => print());
  document.querySelector(".btn-fullscreen-button")?.addEventListener("click", () => toggleFullScreen());
  document.querySelector(".citation-list")?.removeAttribute("role"); // its children are no list items
});

// What scrolls sideways can be reached with the keyboard, is announced by the heading above it, and shows where it goes on.
(() => {
  const SCROLLING =
    ".neuroglot-table, .neuroglot-list, .pst-scrollable-table-container, .neuroglot-chart, .cell_output > .output, div.math, .bd-article pre";

  function showMore(place) {
    const right = place.scrollLeft + place.clientWidth < place.scrollWidth - 1;
    const more = [place.scrollLeft > 1 && "left", right && "right"].filter(Boolean).join(" ");
    if (more) place.dataset.more = more;
    else delete place.dataset.more;
  }

  function mark() {
    const places = document.querySelectorAll(`:is(h1, h2, h3), ${SCROLLING}`);
    let heading = "";
    for (const place of places) {
      if (/^H[123]$/.test(place.tagName)) {
        heading = place.firstChild?.textContent.trim() ?? "";
        continue;
      }
      showMore(place);
      if (place.classList.contains("neuroglot-list")) continue; // has its own name, and scrolls downwards, too
      if (place.scrollWidth > place.clientWidth + 1) {
        const what = place.querySelector("table") ? "Table" : place.matches("pre") ? "Code" : "Figure";
        place.tabIndex = 0;
        place.setAttribute("role", "region");
        place.setAttribute("aria-label", heading ? `${what}: ${heading}` : what);
      } else if (place.getAttribute("role") === "region") {
        for (const name of ["tabindex", "role", "aria-label"]) place.removeAttribute(name);
      }
    }
  }

  let waiting;
  const again = () => {
    clearTimeout(waiting);
    waiting = setTimeout(mark, 200);
  };
  addEventListener("load", mark);
  addEventListener("resize", again);
  document.addEventListener("toggle", again, true); // an unfolded cell
  document.addEventListener("scroll", ({ target }) => target.matches?.(SCROLLING) && showMore(target), true);
})();
