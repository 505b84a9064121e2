// A thread's page: what its models say while they say it.
const box = () => document.getElementById("said");

document.addEventListener("open", () => box()?.querySelector("[data-lines]").replaceChildren());
document.addEventListener("ended", () => { if (box()) box().hidden = true; });
document.addEventListener("said", (event) => {
  if (!box()) return;
  const said = JSON.parse(event.detail);
  const lines = box().querySelector("[data-lines]");
  if (Array.isArray(said)) message(lines, ...said);
  else custom(lines, said);
  box().hidden = false;
  lines.scrollTop = lines.scrollHeight;
});

function line(lines, key, who) {
  let found = key && lines.querySelector(`[data-of="${CSS.escape(key)}"]`);
  if (!found) {
    found = document.createElement("p");
    found.dataset.of = key;
    const name = document.createElement("strong");
    name.textContent = who;
    found.append(name, document.createTextNode(" "));
    lines.append(found);
    while (lines.children.length > 60) lines.firstElementChild.remove();
  }
  return found;
}

function message(lines, chunk, about = {}) {
  const text = typeof chunk.content === "string" ? chunk.content : (chunk.content || []).map((each) => each.text || "").join("");
  if (text) line(lines, chunk.id || "", about.langgraph_node || "model").append(text);
}

function custom(lines, said) {
  const { event, ...rest } = said && typeof said === "object" ? said : { event: String(said) };
  const text = Object.entries(rest).map(([key, value]) => `${key} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(" · ");
  line(lines, "", event || "·").append(text.slice(0, 240));
}

function show() { // the part of the graph where the thread is
  const picture = document.querySelector(".graph .picture");
  const mark = picture?.querySelector(".chosen, .at");
  if (!mark || picture.dataset.shown === mark.outerHTML) return;
  picture.dataset.shown = mark.outerHTML;
  const place = mark.getBoundingClientRect(), frame = picture.getBoundingClientRect();
  picture.scrollTop += place.top - frame.top - frame.height / 2 + place.height / 2;
}

show();
document.addEventListener("refreshed", show);

document.addEventListener("click", (event) => { // on the root, where what is read again does not change it
  const button = event.target.closest("[data-larger]");
  if (!button) return;
  document.documentElement.toggleAttribute("data-large");
  pressed();
});

function pressed() {
  document.querySelector("[data-larger]")?.setAttribute("aria-pressed", String(document.documentElement.hasAttribute("data-large")));
}

document.addEventListener("refreshed", pressed);
