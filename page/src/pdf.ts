// A drawing on the page as a PDF of one page: lines, areas and letters, all as vectors. Letters are
// Helvetica's, which every reader of PDF has.

interface Matrix { a: number; b: number; c: number; d: number; e: number; f: number }
type Rgb = [number, number, number, number];

const scratch = () => document.createElement("canvas").getContext("2d", { willReadFrequently: true })!;
/** A colour as a browser computes it; nothing where nothing is painted. */
function colour(text: string, opacity: number): Rgb | null {
  if (!text || text === "none" || text === "transparent") return null;
  const match = /^rgba?\(([\d.]+)[, ]+([\d.]+)[, ]+([\d.]+)(?:[,/ ]+([\d.]+))?\)$/.exec(text);
  if (match) {
    const [r, g, b] = [match[1], match[2], match[3]].map(one => Number(one) / 255);
    return [r, g, b, opacity * (match[4] === undefined ? 1 : Number(match[4]))];
  }
  const context = scratch();
  context.fillStyle = text;
  context.fillRect(0, 0, 1, 1);
  const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
  return [r / 255, g / 255, b / 255, opacity];
}

const n = (x: number): string => Number.isFinite(x) ? String(Math.round(x * 1000) / 1000) : "0";

/** The commands of a path of lines, curves and arcs, in PDF's words. */
function path(d: string): string {
  const out: string[] = [];
  const tokens = d.match(/[a-zA-Z]|[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?/gi) ?? [];
  let k = 0, x = 0, y = 0, sx = 0, sy = 0, command = "";
  const next = () => Number(tokens[k++]);
  while (k < tokens.length) {
    if (/[a-z]/i.test(tokens[k])) command = tokens[k++];
    const relative = command === command.toLowerCase(), ox = relative ? x : 0, oy = relative ? y : 0;
    switch (command.toUpperCase()) {
      case "M": x = ox + next(); y = oy + next(); sx = x; sy = y; out.push(`${n(x)} ${n(y)} m`); command = relative ? "l" : "L"; break;
      case "L": x = ox + next(); y = oy + next(); out.push(`${n(x)} ${n(y)} l`); break;
      case "H": x = ox + next(); out.push(`${n(x)} ${n(y)} l`); break;
      case "V": y = oy + next(); out.push(`${n(x)} ${n(y)} l`); break;
      case "C": {
        const p = [next(), next(), next(), next(), next(), next()].map((one, at) => one + (at % 2 ? oy : ox));
        out.push(`${p.map(n).join(" ")} c`); x = p[4]; y = p[5]; break;
      }
      case "A": {
        // What is drawn here has circles only: two half-circles around their middle.
        const r = next(); next(); next(); next(); next();
        const ex = ox + next(), ey = oy + next(), cx = (x + ex) / 2, cy = (y + ey) / 2, q = 0.5523 * r;
        const far = Math.hypot(ex - x, ey - y) > r;
        if (far) {
          const side = ex > x ? -1 : 1;
          out.push(`${n(x)} ${n(y + side * q)} ${n(cx - (cx - x) * 0.5523)} ${n(cy + side * r)} ${n(cx)} ${n(cy + side * r)} c`,
            `${n(cx + (ex - cx) * 0.5523)} ${n(cy + side * r)} ${n(ex)} ${n(ey + side * q)} ${n(ex)} ${n(ey)} c`);
        } else out.push(`${n(ex)} ${n(ey)} l`);
        x = ex; y = ey; break;
      }
      case "Z": out.push("h"); x = sx; y = sy; break;
      default: k++;
    }
  }
  return out.join("\n");
}

function circle(cx: number, cy: number, r: number): string {
  const q = 0.5523 * r;
  return [`${n(cx + r)} ${n(cy)} m`, `${n(cx + r)} ${n(cy + q)} ${n(cx + q)} ${n(cy + r)} ${n(cx)} ${n(cy + r)} c`,
    `${n(cx - q)} ${n(cy + r)} ${n(cx - r)} ${n(cy + q)} ${n(cx - r)} ${n(cy)} c`,
    `${n(cx - r)} ${n(cy - q)} ${n(cx - q)} ${n(cy - r)} ${n(cx)} ${n(cy - r)} c`,
    `${n(cx + q)} ${n(cy - r)} ${n(cx + r)} ${n(cy - q)} ${n(cx + r)} ${n(cy)} c`, "h"].join("\n");
}

/** Text in the letters that Helvetica has in WinAnsi; others as "?". */
function letters(text: string): string {
  const known: Record<string, number> = { "…": 0x85, "•": 0x95, "–": 0x96, "—": 0x97, "−": 0x2d, "×": 0xd7, "±": 0xb1 };
  let out = "";
  for (const sign of text) {
    const code = known[sign] ?? sign.codePointAt(0)!;
    if (code < 32 || code > 255) out += "?";
    else if ("()\\".includes(String.fromCharCode(code))) out += "\\" + String.fromCharCode(code);
    else out += code < 127 ? String.fromCharCode(code) : "\\" + code.toString(8).padStart(3, "0");
  }
  return out;
}

/** The drawing as the bytes of a PDF; it must stand on the page, so that a browser has computed it. */
export function pdf(svg: SVGSVGElement): Uint8Array<ArrayBuffer> {
  const { width, height } = svg.getBoundingClientRect();
  const scale = svg.getScreenCTM()!.inverse();
  const out: string[] = [`0.75 0 0 -0.75 0 ${n(0.75 * height)} cm`], states = new Map<string, string>();
  const state = (alpha: number): string => {
    const name = `a${Math.round(1000 * alpha)}`;
    states.set(name, `<< /ca ${n(alpha)} /CA ${n(alpha)} >>`);
    return `/${name} gs`;
  };
  const paint = (node: SVGGraphicsElement, shape: string, opacity: number) => {
    const style = getComputedStyle(node);
    const fill = colour(style.fill, opacity * Number(style.fillOpacity));
    const stroke = colour(style.stroke, opacity * Number(style.strokeOpacity)), wide = parseFloat(style.strokeWidth);
    if (!shape || (!fill && !stroke)) return;
    const m = scale.multiply(node.getScreenCTM()!);
    const of = (one: Matrix) => [one.a, one.b, one.c, one.d, one.e, one.f].map(n).join(" ");
    out.push("q", `${of(m)} cm`);
    if (fill) out.push(state(fill[3]), `${fill.slice(0, 3).map(n).join(" ")} rg`, shape, "f");
    if (stroke && wide > 0) {
      const dashes = style.strokeDasharray === "none" ? "" : style.strokeDasharray.replace(/px|,/g, " ");
      out.push(state(stroke[3]), `${stroke.slice(0, 3).map(n).join(" ")} RG`, `${n(wide)} w`,
        `[${dashes}] 0 d`, "1 j", shape, "S");
    }
    out.push("Q");
  };
  const word = (node: SVGTextElement | SVGTSpanElement, own: SVGTextElement, opacity: number) => {
    const content = node.textContent ?? "";
    const style = getComputedStyle(node), fill = colour(style.fill, opacity * Number(style.fillOpacity));
    if (!content.trim() || !fill || !node.getNumberOfChars()) return;
    const m = scale.multiply(own.getScreenCTM()!), start = node.getStartPositionOfChar(0);
    const size = parseFloat(style.fontSize), bold = Number(style.fontWeight) >= 600;
    // The letters of the page may be wider than Helvetica's: they are stretched to the same length.
    const context = scratch();
    context.font = `${bold ? "bold " : ""}${size}px Helvetica, Arial, "Liberation Sans", sans-serif`;
    const stretch = 100 * node.getComputedTextLength() / Math.max(1e-6, context.measureText(content).width);
    out.push("q", `${[m.a, m.b, m.c, m.d, m.e, m.f].map(n).join(" ")} cm`, "BT", state(fill[3]),
      `${fill.slice(0, 3).map(n).join(" ")} rg`, `/${bold ? "F2" : "F1"} ${n(size)} Tf`, `${n(stretch)} Tz`,
      `1 0 0 -1 ${n(start.x)} ${n(start.y)} Tm`, `(${letters(content)}) Tj`, "ET", "Q");
  };
  const walk = (node: Element, above: number) => {
    const style = getComputedStyle(node), opacity = above * Number(style.opacity);
    if (style.display === "none" || style.visibility === "hidden" || opacity === 0) return;
    const at = (name: string) => Number(node.getAttribute(name) ?? 0);
    switch (node.tagName) {
      case "svg": case "g": case "a": for (const child of node.children) walk(child, opacity); break;
      case "path": paint(node as SVGGraphicsElement, path(node.getAttribute("d") ?? ""), opacity); break;
      case "rect": paint(node as SVGGraphicsElement, `${n(at("x"))} ${n(at("y"))} ${n(at("width"))} ${n(at("height"))} re`, opacity); break;
      case "line": paint(node as SVGGraphicsElement, `${n(at("x1"))} ${n(at("y1"))} m ${n(at("x2"))} ${n(at("y2"))} l`, opacity); break;
      case "circle": paint(node as SVGGraphicsElement, circle(at("cx"), at("cy"), at("r")), opacity); break;
      case "text": {
        const own = node as SVGTextElement, parts = [...own.querySelectorAll("tspan")];
        if (parts.length) parts.forEach(part => word(part, own, opacity)); else word(own, own, opacity);
      }
    }
  };
  walk(svg, 1);
  const content = out.join("\n");
  const font = (name: string) => `<< /Type /Font /Subtype /Type1 /BaseFont /${name} /Encoding /WinAnsiEncoding >>`;
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${n(0.75 * width)} ${n(0.75 * height)}] /Contents 4 0 R /Resources << `
      + `/Font << /F1 5 0 R /F2 6 0 R >> /ExtGState << ${[...states].map(([name, own]) => `/${name} ${own}`).join(" ")} >> >> >>`,
    `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
    font("Helvetica"), font("Helvetica-Bold"),
  ];
  let file = "%PDF-1.4\n";
  const places: number[] = [];
  objects.forEach((object, k) => { places.push(file.length); file += `${k + 1} 0 obj\n${object}\nendobj\n`; });
  const start = file.length;
  file += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n`
    + places.map(place => `${String(place).padStart(10, "0")} 00000 n \n`).join("")
    + `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${start}\n%%EOF\n`;
  // All of it is ASCII: a letter is a byte.
  return Uint8Array.from(file, sign => sign.charCodeAt(0));
}
