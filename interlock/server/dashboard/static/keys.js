// The keyboard: `g` and a letter goes to a page, `j` and `k` walk a list, `?` shows all. Pages add theirs by `data-key`.
import { switchTheme } from "./theme.js";

let leader = -Infinity;

export function keys() {
  document.addEventListener("keydown", pressed);
  document.querySelector("[data-keys]")?.addEventListener("click", help);
  const menu = document.querySelector("[data-menu]");
  menu?.addEventListener("click", () => {
    const open = document.getElementById("nav").classList.toggle("open");
    menu.setAttribute("aria-expanded", String(open));
  });
}

function help() {
  document.getElementById("keys").showModal();
}

function typing(target) {
  return target.closest?.("input, textarea, select, [contenteditable]");
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && typing(event.target)) return event.target.blur();
  if (typing(event.target) || document.querySelector("dialog[open]")) return;
  if (act(event.key)) event.preventDefault();
}

function act(key) {
  if (performance.now() - leader < 1200) {
    leader = -Infinity;
    return follow(`[data-go="${CSS.escape(key)}"]`);
  }
  switch (key) {
    case "g": leader = performance.now(); return true;
    case "?": help(); return true;
    case "t": switchTheme(); return true;
    case "/": return focusOn("[data-search]");
    case "j": return walk(1);
    case "k": return walk(-1);
  }
  return /^[a-z0-9[\]]$/i.test(key) && follow(`[data-key="${CSS.escape(key)}"]:not(:disabled)`);
}

function follow(selector) {
  const found = document.querySelector(selector);
  found?.click();
  return Boolean(found);
}

function focusOn(selector) {
  const found = document.querySelector(selector);
  found?.focus();
  found?.select?.();
  return Boolean(found);
}

function walk(by) {
  const items = [...document.querySelectorAll("[data-item]")];
  if (!items.length) return false;
  const at = items.findIndex((each) => each.contains(document.activeElement));
  const next = items[Math.min(Math.max(at + by, 0), items.length - 1)];
  (next.matches("a, button") ? next : next.querySelector("a, button, input"))?.focus();
  next.scrollIntoView({ block: "nearest" });
  return true;
}
