"""Looks at the built book in Chromium: pictures of pages, light and dark, wide and narrow, and what axe-core finds.

    python3 book/look.py target/book/site AXE.js OUT

AXE.js is axe-core's axe.min.js, as page/ has it below node_modules. Exit code 1 where a page has a serious fault.
"""

import html
import json
import re
import subprocess
import sys
from pathlib import Path

PAGES = ["index", "start-rules", "concepts", "choose", "systems/signs", "reference/index", "reference/bounds",
         "reference/rules/krum", "reference/keys/index", "measured/bad-rank", "measured/worst-mnist", "faq"]
RUN = """
<script src="%s"></script>
<script>
addEventListener("load", () => setTimeout(async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  const wide = document.documentElement.scrollWidth > innerWidth ? [{id: "wider than the window", impact: "serious", nodes: []}] : [];
  const told = wide.concat(found.violations).map(v => ({id: v.id, impact: v.impact, at: v.nodes.slice(0, 3).map(n => n.target.join(" ") + " | " + (n.failureSummary || "").slice(0, 200))}));
  document.body.innerHTML = "<pre id=told>" + JSON.stringify(told).replace(/&/g, "&amp;").replace(/</g, "&lt;") + "</pre>";
}, 300));
</script>
"""


def chromium(*words: str) -> str:
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files"]
    return subprocess.run([*command, *words], check=True, capture_output=True, text=True).stdout


def main() -> None:
    site, axe, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    serious = 0
    for page in PAGES:
        file = site / f"{page}.html"
        for dark, width in ((False, 1440), (True, 390)):
            with_axe = file.with_suffix(f".look{int(dark)}.html")
            with_axe.write_text(file.read_text().replace("</body>", RUN % axe.as_uri() + "</body>"))
            scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
            dom = chromium(*scheme, f"--window-size={width},2400", "--virtual-time-budget=15000", "--dump-dom", with_axe.as_uri())
            with_axe.unlink()
            told = re.search(r'<pre id="told">(.*?)</pre>', dom, re.S)
            if told is None:
                sys.exit(f"{page}: axe-core did not answer")
            for fault in json.loads(html.unescape(told[1])):
                serious += fault["impact"] in ("serious", "critical")
                print(f"{page} {'dark' if dark else 'light'} {width}: {fault['impact']} {fault['id']}")
                for at in fault.get("at", []):
                    print(f"    {at}")
    for page in PAGES[:8]:
        for scheme in ("light", "dark"):
            for width in (1440, 390):
                chosen = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
                chromium(*chosen, f"--window-size={width},2200", "--virtual-time-budget=4000",
                         f"--screenshot={out}/{page.replace('/', '-')}-{scheme}-{width}.png", (site / f"{page}.html").as_uri())
    sys.exit(serious > 0)


main()
