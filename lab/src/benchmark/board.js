"use strict";
// Sorts the leaderboard by any column, and shows what lies behind a line. All texts stand in the
// page already; nothing is made of them.
const table = document.querySelector("table.board");
const heads = [...table.tHead.rows[0].cells];

function key(body, column) {
  const cell = body.rows[0].cells[column];
  const value = cell.dataset.value;
  return value === undefined ? cell.textContent.trim() : value === "" ? null : Number(value);
}

function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  return typeof a === "string" ? a.localeCompare(b) : a - b;
}

heads.forEach((head, column) => {
  head.querySelector("button").addEventListener("click", () => {
    const first = head.dataset.first;
    const other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const bodies = [...table.tBodies].map((body) => [key(body, column), body]);
    // What has no value comes last either way.
    bodies.sort(([a], [b]) => (a === null || b === null ? compare(a, b) : sign * compare(a, b)));
    bodies.forEach(([, body]) => table.append(body));
  });
});

for (const body of table.tBodies) {
  const button = body.rows[0].querySelector("button");
  const more = body.rows[1];
  more.hidden = true;
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", () => {
    more.hidden = !more.hidden;
    button.setAttribute("aria-expanded", String(!more.hidden));
  });
}
document.body.dataset.drawn = "yes";
