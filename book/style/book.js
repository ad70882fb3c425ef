// What the theme leaves to be said to keyboards and screen readers.
addEventListener("load", () => setTimeout(() => {
  document.querySelectorAll("[data-md-component=search]").forEach(one => one.setAttribute("aria-label", "Search"));
  document.querySelectorAll(".md-typeset__scrollwrap, pre > code, .formula").forEach(one => one.setAttribute("tabindex", "0"));
  document.querySelectorAll("nav").forEach((one, k) => { if (!one.getAttribute("aria-label")) one.setAttribute("aria-label", "Part " + (k + 1)); });
}, 100));
