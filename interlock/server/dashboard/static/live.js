// Keeps parts of a page true. `data-live="block"` is fetched again every `data-every` seconds, or whenever an event comes
// over `data-events="URL"` (server-sent events). Asks for the page's own address with the header `X-Fragment: block`.
import { children } from "./morph.js";
import { tell } from "./times.js";

const SOON = 250;

export async function refresh(element, address = location.href) {
  if (element.dataset.asking) return;
  element.dataset.asking = "yes";
  try {
    const answer = await fetch(address, { headers: { "X-Fragment": element.dataset.live } });
    if (!answer.ok) throw new Error(String(answer.status));
    const made = document.createElement("template");
    made.innerHTML = await answer.text();
    children(element, made.content);
    away(false);
    tell();
    element.dispatchEvent(new CustomEvent("refreshed", { bubbles: true }));
  } catch {
    away(true);
  } finally {
    delete element.dataset.asking;
  }
}

function away(is) {
  for (const each of document.querySelectorAll(".live")) {
    each.classList.toggle("away", is);
    each.title = is ? "The server cannot be reached; trying again" : "";
  }
}

function every(element) {
  const seconds = Number(element.dataset.every);
  setInterval(() => document.hidden || refresh(element), seconds * 1000);
  document.addEventListener("visibilitychange", () => document.hidden || refresh(element));
}

function onEvents(element) {
  let timer = 0;
  let source = null;
  const soon = () => {
    timer ||= setTimeout(async () => { timer = 0; await refresh(element); listen(); }, SOON);
  };
  const listen = () => {
    const wanted = element.querySelector("[data-events]")?.dataset.events || element.dataset.events || "";
    if (source?.wanted === wanted) return;
    source?.close();
    source = wanted ? Object.assign(new EventSource(wanted), { wanted }) : null;
    source?.addEventListener("happened", (event) => {
      element.dispatchEvent(new CustomEvent("happened", { bubbles: true, detail: JSON.parse(event.data) }));
      soon();
    });
    source?.addEventListener("ended", () => { source.close(); soon(); });
    source?.addEventListener("error", () => away(true));
    source?.addEventListener("open", () => away(false));
  };
  listen();
}

export function live() {
  for (const each of document.querySelectorAll("[data-live]")) {
    if (each.dataset.every) every(each);
    if (each.dataset.events !== undefined) onEvents(each);
  }
}
