// Makes one tree like another in place: what somebody typed, opened or has under the cursor stays as it is.
export function morph(from, to) {
  if (from.isEqualNode(to)) return;
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName || key(from) !== key(to)) {
    from.replaceWith(to);
    return;
  }
  if (from.nodeType !== Node.ELEMENT_NODE) {
    from.nodeValue = to.nodeValue;
    return;
  }
  if (from.matches("[data-keep], dialog[open]") || edited(from)) return;
  attributes(from, to);
  children(from, to);
}

function key(node) {
  return node.id || node.dataset?.morph || "";
}

function edited(node) {
  return node.matches("form[data-dirty]") || (node === document.activeElement && node.matches("input, textarea, select"));
}

function attributes(from, to) {
  for (const { name, value } of [...to.attributes]) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  for (const { name } of [...from.attributes]) {
    const kept = name === "open" && from.matches("details");
    if (!to.hasAttribute(name) && !kept) from.removeAttribute(name);
  }
}

function blank(node) {
  return node?.nodeType === Node.TEXT_NODE && !node.nodeValue.trim();
}

export function children(from, to) {
  const wanted = [...to.childNodes];
  const known = new Map([...from.childNodes].filter(key).map((each) => [key(each), each]));
  let here = from.firstChild;
  for (const each of wanted) {
    while (blank(here) && !blank(each)) { // a block alone begins with other space than within its page
      const next = here.nextSibling;
      here.remove();
      here = next;
    }
    if (blank(each) && here && !blank(here)) {
      from.insertBefore(each, here);
      continue;
    }
    const same = key(each) && known.get(key(each));
    if (same && same !== here) from.insertBefore(same, here);
    else if (!same && key(each) && here && key(here)) from.insertBefore(each, here);
    const place = same || (each.parentNode === from ? each : here);
    if (!place) from.append(each);
    else if (place !== each) {
      const next = place.nextSibling;
      morph(place, each);
      here = next;
      continue;
    }
    here = place ? place.nextSibling : null;
  }
  while (here) {
    const next = here.nextSibling;
    here.remove();
    here = next;
  }
}

addEventListener("input", (event) => {
  const form = event.target.closest("form:not([data-search-form])");
  if (form) form.dataset.dirty = "yes";
});
