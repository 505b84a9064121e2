// The inbox: `j` and `k` open what they reach, `a` and `r` ask and then answer, `e` opens the arguments, `x` chooses.
import { confirmed } from "./dialogs.js";

const several = document.querySelector("[data-several]");
const boxes = () => [...document.querySelectorAll("input[name=chosen]")];

function count() {
  if (!several) return;
  const chosen = boxes().filter((each) => each.checked).length;
  several.hidden = !chosen;
  several.querySelector("[data-count]").textContent = `${chosen} chosen`;
}

function choose(on) {
  const here = document.activeElement?.closest("li") || document.querySelector(".pending .chosen");
  const box = here?.querySelector("input[name=chosen]:not(:disabled)");
  if (box) box.checked = on ?? !box.checked;
  count();
}

async function answer(button) {
  const yes = button.firstElementChild.nextSibling.textContent.trim();
  const sure = confirmed(button.dataset.ask, yes);
  document.querySelector("#confirm [data-yes]").focus();
  if (await sure) button.form.requestSubmit(button);
}

function edit() {
  const box = document.getElementById("edit");
  if (!box) return;
  box.open = true;
  box.querySelector("input:not([type=hidden]), textarea, select")?.focus();
}

function pressed(event) {
  const away = event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select, dialog");
  if (away || document.querySelector("dialog[open]")) return;
  const button = document.querySelector(`[data-answer="${CSS.escape(event.key)}"]`);
  if (button && !event.defaultPrevented) answer(button);
  else if (event.key === "e") edit();
  else if (event.key === "x") choose();
  else if (event.key === "j" || event.key === "k") return document.activeElement?.closest?.(".pending a")?.click();
  else return;
  event.preventDefault();
}

document.addEventListener("keydown", pressed);
document.addEventListener("change", (event) => event.target.matches("input[name=chosen]") && count());
document.addEventListener("refreshed", count);
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-none]")) boxes().forEach((each) => { each.checked = false; });
  if (event.target.matches("input[name=chosen]") && event.detail) event.target.closest("li").querySelector("a").focus();
  count();
});
addEventListener("pageshow", count);
