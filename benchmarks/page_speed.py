"""``page_speed.py [PAGE]``: how long each interaction with a report takes in Chromium.

Each is done ten times, on the whole page with everything open, and timed inside of the page: from
the event to the end of the layout that it asks for. Median and worst, milliseconds; the aim is 60.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
AIM_MS = 60
TIMED = """
async () => {
  const fire = (node, type) => node.dispatchEvent(new Event(type, { bubbles: true }));
  const choose = (id, value) => {
    document.getElementById(id).value = value;
    fire(document.getElementById(id), 'change');
  };
  const figure = document.getElementById('scenario-1-latency');
  const box = document.querySelector('[name=variant]');
  const names = DATA.variants, form = document.getElementById('your-case');
  const fold = document.getElementById('scenario-1');
  const sorts = document.querySelectorAll('#scenario-2-table button.sort');
  const acts = {
    'another base': (n) => choose('base', names[n % names.length]),
    'another percentile': (n) => choose('level', ['p50', 'p95', 'p99'][n % 3]),
    'other axes': (n) => choose('scale', ['linear', 'log'][n % 2]),
    'a variant less or more': () => { box.checked = !box.checked; fire(box, 'change'); },
    'a line highlighted': (n) => highlight(String(n % names.length)),
    'a case of the reader': (n) => { form.ms.value = n % 40; fire(form.ms, 'input'); },
    'a fold closed or opened': () => { fold.open = !fold.open; },
    'a table sorted': (n) => sorts[n % 6].click(),
    'a zoom': (n) => { views.set(figure, n % 2 ? null : [100, 900, 1, 100]); applyCurves(); },
    'data of a figure': () => figure.querySelector('button.data').click(),
  };
  for (const each of document.querySelectorAll('details')) each.open = true;
  document.body.getBoundingClientRect();
  const told = {};
  for (const [name, act] of Object.entries(acts)) {
    told[name] = [];
    for (let n = 0; n < 10; n += 1) {
      await new Promise((next) => requestAnimationFrame(next));
      const began = performance.now();
      act(n);
      document.body.getBoundingClientRect();
      told[name].push(performance.now() - began);
    }
  }
  return told;
}
"""


def main() -> None:
    """Print a line for each interaction."""
    page_file = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "reports/reference/index.html"
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(page_file.resolve().as_uri())
        told = page.evaluate(TIMED)
        browser.close()
    print(f"{page_file}: {page_file.stat().st_size / 1e6:.2f} MB")
    for name, times in told.items():
        ordered = sorted(times)
        middle, worst = ordered[len(ordered) // 2], ordered[-1]
        over = "over the aim" if worst > AIM_MS else ""
        print(f"{name:<26} median {middle:6.1f} ms  worst {worst:6.1f} ms  {over}")


if __name__ == "__main__":
    main()
