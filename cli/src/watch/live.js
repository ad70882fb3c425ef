"use strict";
// Follows the folder: what changes often comes as events, the rest is fetched when it is another.
const lost = document.createElement("b");
let state = JSON.parse(at("varangian-results").textContent), have = null, fetching = false, last = null;
function take(event) {
  Object.assign(state, event);
  show(state);
  at("trouble").hidden = !state.trouble;
  at("trouble").textContent = state.trouble || "";
}
async function fetchData(tag) {
  fetching = true;
  try {
    const answer = await fetch("/data", { cache: "no-store" });
    if (answer.ok) { state = await answer.json(); have = tag; }
  } catch { /* The next event tries again. */ }
  // A folder in which runs end all the time is fetched every other second.
  setTimeout(() => { fetching = false; if (last.data !== have) fetchData(last.data); }, 2000);
  take(last);
}
const source = new EventSource("/events");
source.onopen = () => lost.remove();
source.onmessage = message => {
  lost.remove();
  last = JSON.parse(message.data);
  take(last);
  if (last.data !== have && !fetching) fetchData(last.data);
};
source.onerror = () => { lost.textContent = "no connection"; at("status").after(lost); };
