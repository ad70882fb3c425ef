// Elements. Every text goes in as a text: nothing that stands in results becomes HTML or code.

type Child = Node | string | null | undefined | false;
type Value = string | number | boolean | ((event: Event) => void);

export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Record<string, Value> = {},
  ...children: Child[]): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false) node.setAttribute(name, String(value));
  }
  node.append(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false));
  return node;
}

export interface Choice { value: string; label?: string }
/** A labelled list to choose from. */
export function choose(label: string, choices: Choice[], now: string, take: (value: string) => void): HTMLLabelElement {
  const select = h("select", { "data-choice": label });
  for (const one of choices) {
    const option = h("option", { value: one.value }, visible(one.label ?? one.value));
    option.selected = one.value === now;
    select.append(option);
  }
  select.addEventListener("change", () => take(select.value));
  return h("label", { class: "choice" }, h("span", {}, label), select);
}

/** Text in which nothing steers what is shown: control and direction characters are seen as codes. */
export function visible(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    sign => "\\u{" + sign.codePointAt(0)!.toString(16) + "}");
}

let count = 0;
export const fresh = (what: string): string => `${what}-${++count}`;

/** A button that shows what a word means, and the place where it does. */
export function meaning(term: string, text: string): HTMLElement {
  const id = fresh("meaning");
  const note = h("span", { id, role: "note", class: "meaning", hidden: true }, visible(text));
  const button = h("button", { type: "button", class: "q", "aria-expanded": "false", "aria-controls": id,
    "aria-label": `What is meant by ${term}`, title: `What is meant by ${term}` }, "?");
  button.addEventListener("click", () => {
    note.hidden = !note.hidden;
    button.setAttribute("aria-expanded", String(!note.hidden));
  });
  return h("span", { class: "meant" }, button, note);
}

/** Gives a text to the browser as a file. */
export function save(name: string, parts: BlobPart[], type: string): void {
  const link = h("a", { download: name, href: URL.createObjectURL(new Blob(parts, { type })) });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export const csv = (rows: (string | number)[][]): string => rows.map(row => row.map(cell => {
  // A spreadsheet takes what begins so for a formula.
  const text = typeof cell === "string" && /^[=+\-@\t\r]/.test(cell) ? "'" + cell : String(cell);
  return /[",\n\r]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
}).join(",")).join("\n") + "\n";
