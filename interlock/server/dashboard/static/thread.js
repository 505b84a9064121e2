// A thread's page: what its models say while they say it.
function begin() {
  const box = document.getElementById("said");
  if (!box || box.dataset.begun) return;
  box.dataset.begun = "yes";
  const lines = box.querySelector("[data-lines]");
  const source = new EventSource(box.dataset.output);
  source.addEventListener("said", (event) => {
    const said = JSON.parse(event.data);
    if (Array.isArray(said)) message(lines, ...said);
    else custom(lines, said);
    box.hidden = false;
    lines.scrollTop = lines.scrollHeight;
  });
  source.addEventListener("ended", () => { source.close(); box.hidden = true; });
  source.addEventListener("error", () => source.readyState === EventSource.CLOSED && box.remove());
}

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

begin();
document.addEventListener("refreshed", begin);
