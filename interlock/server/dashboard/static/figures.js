// The figures beside the pages, kept true: what waits for somebody. Pages that nobody sees ask for nothing.
import { away } from "./live.js";

const SECONDS = 5;

async function ask() {
  const shown = document.querySelectorAll("[data-figure]");
  if (document.hidden || !shown.length) return;
  try {
    const answer = await fetch("/ui/figures");
    if (answer.ok) tell(shown, await answer.json());
    away(answer.status >= 500);
  } catch {
    away(true);
  }
}

function tell(shown, figures) {
  for (const each of shown) {
    const many = figures[each.dataset.figure] || 0;
    each.hidden = !many;
    each.firstChild.nodeValue = String(many);
  }
}

export function figures() {
  setInterval(ask, SECONDS * 1000);
  document.addEventListener("visibilitychange", ask);
}
