// What is wider than the page scrolls in its own box; this lets the keyboard scroll it too.
const boxes =
  "div.math, mjx-container[display], pre, .cell_output .output, .pst-scrollable-table-container, span.math, a.figure-large";
const ink = 8; // accents may stand out of a formula by so many pixels

function letScroll(place) {
  for (const box of place.querySelectorAll(boxes)) {
    if (!box.checkVisibility({ contentVisibilityAuto: true })) continue;
    const wide = box.scrollWidth > box.clientWidth + (box.matches("span.math") ? ink : 0);
    if (wide) box.tabIndex = 0;
    box.classList.toggle("wide", wide);
    if (wide) tellEnd(box);
  }
}

function tellEnd(box) {
  box.classList.toggle("at-end", box.scrollLeft + box.clientWidth >= box.scrollWidth - 2);
}

addEventListener("scroll", ({ target }) => target.matches?.(".wide") && tellEnd(target), true);
addEventListener("load", () => letScroll(document));
addEventListener("resize", () => letScroll(document));
addEventListener("contentvisibilityautostatechange", (event) => letScroll(event.target), true);

// The theme's own handler would stand in the page, whose policy does not let it run.
addEventListener("click", ({ target }) => target.closest("[data-print]") && print());

// Marks of a search come off; the link for that would be a script in an address.
addEventListener("click", (event) => {
  if (!event.target.closest("[data-unmark]")) return;
  event.preventDefault();
  SphinxHighlight.hideSearchWords();
});

// A report names the section that is being read: the last heading above the middle of the window.
addEventListener("click", ({ target }) => {
  const link = target.closest?.("[data-feedback]");
  if (!link) return;
  const url = new URL(link.href);
  const above = [...document.querySelectorAll("article section[id] > :is(h2, h3)")].filter(
    (heading) => heading.getBoundingClientRect().top < innerHeight / 2,
  );
  const heading = above.at(-1)?.cloneNode(true);
  heading?.querySelectorAll(".headerlink, mjx-container > :not(mjx-assistive-mml)").forEach((part) => part.remove());
  const section = heading ? `${heading.textContent.trim()} (#${above.at(-1).parentElement.id})` : "";
  const body = url.searchParams.get("body").replace(/^Section: .*$/m, () => `Section: ${section}`);
  url.searchParams.set("body", body);
  link.href = url;
});

// On a phone a figure opens large in its place, and is moved sideways there; its link leads to the file.
const narrow = matchMedia("(max-width: 575px)");
addEventListener("click", (event) => {
  const link = event.target.closest?.("a.figure-large");
  if (!link || !narrow.matches || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  link.classList.toggle("large");
  letScroll(link.parentElement);
});
