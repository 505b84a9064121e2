// Keeps parts of a page true. `data-live="block"` is fetched again every `data-every` seconds, or whenever an event comes
// over the address in `data-events` inside it (server-sent events). It asks for the page's own address with the header
// `X-Fragment: block`. Links inside it that lead to the same page with another query change that part alone.
import { children } from "./morph.js";
import { tell } from "./times.js";

const SOON = 250;
const AGAIN = 3000;
let visit = 0;

export async function refresh(element, address = location.href) {
  const mine = visit;
  try {
    const answer = await fetch(address, { headers: { "X-Fragment": element.dataset.live } });
    if ([401, 403, 404].includes(answer.status)) return gone();
    if (!answer.ok) throw new Error(String(answer.status));
    const text = await answer.text();
    if (mine !== visit) return true; // somebody went on meanwhile
    const made = document.createElement("template");
    made.innerHTML = text;
    const focused = document.activeElement;
    children(element, made.content);
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true }); // its row moved
    away(false);
    tell();
    element.dispatchEvent(new CustomEvent("refreshed", { bubbles: true }));
    return true;
  } catch {
    away(true);
    return false;
  }
}

export function away(is) {
  const told = document.querySelector("[data-lost]");
  if (told) told.hidden = !is;
  for (const each of document.querySelectorAll(".live")) {
    each.classList.toggle("away", is);
    const text = is ? "Not live" : "Live";
    if (each.textContent !== text) each.textContent = text;
  }
}

function gone() { // the session has ended, or what is shown was deleted: the page itself says which
  location.reload();
  return true;
}

function every(element) {
  setInterval(() => document.hidden || refresh(element), Number(element.dataset.every) * 1000);
  document.addEventListener("visibilitychange", () => document.hidden || refresh(element));
}

function onEvents(element) {
  let timer = 0;
  let source = null;
  let asking = false;
  let more = false;
  const soon = () => {
    if (asking) more = true; // what happens while it asks may not be in the answer
    else timer ||= setTimeout(ask, SOON);
  };
  const ask = async () => {
    timer = 0;
    asking = true;
    await refresh(element);
    asking = false;
    listen();
    if (more) soon();
    more = false;
  };
  const stop = () => { source?.close(); source = null; };
  const listen = () => {
    const wanted = element.querySelector("[data-events]")?.dataset.events || "";
    if (source?.wanted === wanted && source.readyState !== EventSource.CLOSED) return;
    stop();
    if (!wanted || document.hidden) return; // a browser has few connections: pages that nobody sees keep none
    source = Object.assign(new EventSource(wanted), { wanted });
    const pass = (event) => element.dispatchEvent(new CustomEvent(event.type, { bubbles: true, detail: event.data }));
    source.addEventListener("open", (event) => { away(false); pass(event); });
    source.addEventListener("happened", soon);
    source.addEventListener("said", pass);
    source.addEventListener("ended", (event) => { stop(); pass(event); soon(); });
    source.addEventListener("error", () => {
      away(true);
      if (source?.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN);
    });
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : soon()));
  listen();
}

async function followed(event) {
  const link = event.target.closest("[data-live] a[href]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const there = new URL(link.href?.baseVal ?? link.href, location.href);
  if (there.origin !== location.origin || there.pathname !== location.pathname) return;
  event.preventDefault();
  there.hash = "";
  visit += 1;
  history.pushState(null, "", there);
  await arrived(link.closest("[data-live]"));
}

async function searched(event) { // what fits appears while one types on
  const form = event.target.closest("[data-search-form]");
  const parts = [...document.querySelectorAll("[data-live]")];
  if (!form || !parts.length) return;
  event.preventDefault();
  const there = new URL(form.action);
  there.search = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  visit += 1;
  history.replaceState(null, "", there);
  await Promise.all(parts.map((each) => arrived(each)));
}

async function arrived(element) {
  element.setAttribute("aria-busy", "true");
  const well = await refresh(element);
  element.removeAttribute("aria-busy");
  if (!well && navigator.onLine) location.reload();
}

export function live() {
  for (const each of document.querySelectorAll("[data-live]")) {
    if (each.dataset.every) every(each);
    if (each.dataset.events !== undefined) onEvents(each);
  }
  document.addEventListener("click", followed);
  document.addEventListener("submit", searched, true);
  addEventListener("popstate", () => {
    visit += 1;
    document.querySelectorAll("[data-live]").forEach(arrived);
  });
}
