// Lists of which several can be chosen: `x` chooses, and a bar with what can be done with them appears.
const several = document.querySelector("[data-several]");
const boxes = () => [...document.querySelectorAll("input[name=chosen]")];

export function away(event) {
  const typing = event.target.closest?.("input, textarea, select, dialog") || document.querySelector("dialog[open]");
  return Boolean(typing || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented);
}

export function count() {
  if (!several) return;
  const chosen = boxes().filter((each) => each.checked).length;
  several.hidden = !chosen;
  several.querySelector("[data-count]").textContent = `${chosen} chosen`;
}

function choose() {
  const here = document.activeElement?.closest("li, tr") || document.querySelector("li.chosen");
  const box = here?.querySelector("input[name=chosen]:not(:disabled)");
  if (box) box.checked = !box.checked;
  count();
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "x" || away(event)) return;
  choose();
  event.preventDefault();
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-all]")) boxes().forEach((each) => { each.checked = event.target.checked && !each.disabled; });
  count();
});
document.addEventListener("refreshed", count);
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-none]")) boxes().forEach((each) => { each.checked = false; });
  if (event.target.matches("input[name=chosen]") && event.detail) event.target.closest("li, tr").querySelector("a").focus();
  count();
});
addEventListener("pageshow", count);
