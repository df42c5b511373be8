// What is wider than the page scrolls in its own box; this lets the keyboard scroll it too.
const boxes = "mjx-container[display], pre, .cell_output .output, .pst-scrollable-table-container";

function letKeyboardScroll() {
  for (const box of document.querySelectorAll(boxes)) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
}

window.addEventListener("load", letKeyboardScroll);
window.addEventListener("resize", letKeyboardScroll);
