// Small things: copying, searching while one types, selects that send their form, checking JSON before it is sent.
import { say } from "./toasts.js";

export function widgets() {
  document.addEventListener("click", copied);
  document.addEventListener("input", searched);
  document.addEventListener("change", (event) => event.target.closest("[data-sends]")?.form.requestSubmit());
  document.addEventListener("input", checked);
  document.addEventListener("toggle", another, true);
  for (const each of ["refreshed", "toggle"]) document.addEventListener(each, reachable, true);
  addEventListener("resize", reachable);
  reachable();
}

// What scrolls can be scrolled with keys: it takes the focus, but only while there is something to scroll.
function reachable() {
  for (const each of document.querySelectorAll(".value, .scroll, .picture, .step, .tabs, [data-lines]")) {
    const scrolls = each.scrollHeight > each.clientHeight + 1 || each.scrollWidth > each.clientWidth + 1;
    if (scrolls && each.tabIndex < 0) each.tabIndex = 0;
    else if (!scrolls && each.getAttribute("tabindex") === "0") each.removeAttribute("tabindex");
  }
}

async function copied(event) {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  event.preventDefault();
  await navigator.clipboard.writeText(button.dataset.copy);
  say("Copied");
}

let waiting = 0;
function searched(event) {
  const input = event.target.closest("[data-search]");
  if (!input?.form) return;
  clearTimeout(waiting);
  waiting = setTimeout(() => input.form.requestSubmit(), 350);
}

function checked(event) {
  const field = event.target.closest("[data-json]");
  if (!field) return;
  let fault = "";
  try { if (field.value.trim()) JSON.parse(field.value); } catch (error) { fault = `This is not JSON: ${error.message}`; }
  field.setAttribute("aria-invalid", String(Boolean(fault)));
  const told = document.getElementById(field.getAttribute("aria-errormessage"));
  if (told) { told.textContent = fault; told.hidden = !fault; }
}

function another(event) { // an entry that is begun has an empty one behind it
  const entry = event.target;
  if (!entry.matches?.("[data-new]") || !entry.open || entry.dataset.begun) return;
  entry.dataset.begun = "yes";
  const number = Number(entry.dataset.number), path = `${entry.dataset.new}.`;
  const next = entry.cloneNode(true);
  for (const each of [next, ...next.querySelectorAll("*")]) {
    for (const { name, value } of [...each.attributes]) each.setAttribute(name, value.replaceAll(`${path}${number}`, `${path}${number + 1}`));
  }
  next.open = false;
  next.dataset.number = String(number + 1);
  delete next.dataset.begun;
  entry.after(next);
  entry.querySelector("input, textarea, select")?.focus();
}
