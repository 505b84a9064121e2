// The inbox: `j` and `k` open what they reach, `a` and `r` ask and then answer, `e` opens the arguments.
import { away } from "./choosing.js";
import { confirmed } from "./dialogs.js";

async function answer(button) {
  const yes = [...button.childNodes].find((each) => each.nodeType === Node.TEXT_NODE).textContent.trim();
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
  if (/^[jk]$/.test(event.key)) return document.activeElement?.closest?.(".pending a")?.click();
  if (away(event)) return;
  const button = document.querySelector(`[data-answer="${CSS.escape(event.key)}"]`);
  if (button) answer(button);
  else if (event.key === "e") edit();
  else return;
  event.preventDefault();
}

function begin(event) { // from the question that is open, and behind the ends of a page on to the next one
  if (!/^[jk]$/.test(event.key) || away(event)) return;
  if (document.activeElement === document.body) document.querySelector(".pending .chosen a")?.focus();
  const items = document.querySelectorAll(".pending [data-item]");
  const [end, way] = event.key === "j" ? [items[items.length - 1], "next"] : [items[0], "prev"];
  const page = document.querySelector(`.pending a[rel=${way}]`);
  if (!page || document.activeElement !== end) return;
  if (page.dataset.last) page.href = page.dataset.last;
  page.click();
  event.stopImmediatePropagation();
  event.preventDefault();
}

document.addEventListener("keydown", begin, true);
document.addEventListener("keydown", pressed);

document.addEventListener("click", (event) => { // a page of the list begins at its top, or where it was come to
  if (!event.target.closest(".pending .pager a")) return;
  document.addEventListener("refreshed", () => document.querySelector(".pending li.chosen")?.scrollIntoView({ block: "nearest" }), { once: true });
});
