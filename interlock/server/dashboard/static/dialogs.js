// Dialogs: `data-open="id"` opens one; a button or form with `data-confirm` asks first. Without scripts both still send.
export function confirmations() {
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-open]");
    if (!opener) return;
    const dialog = document.getElementById(opener.dataset.open);
    if (!dialog?.showModal) return;
    event.preventDefault();
    dialog.showModal();
    dialog.querySelector("[autofocus], input:not([type=hidden]), textarea, select")?.focus();
  });
  document.addEventListener("submit", onSubmit);
}

async function onSubmit(event) {
  const form = event.target;
  const asked = event.submitter?.dataset.confirm || form.dataset.confirm;
  if (asked && form.dataset.agreed !== "yes") {
    event.preventDefault();
    if (await confirmed(asked, event.submitter?.textContent.trim())) {
      form.dataset.agreed = "yes";
      form.requestSubmit(event.submitter);
    }
    return;
  }
  if (form.method !== "dialog" && !event.defaultPrevented && !form.matches("[data-search-form]")) {
    event.submitter?.setAttribute("aria-busy", "true");
    if (form.dataset.sent) event.preventDefault(); // a second click is no second request
    form.dataset.sent = "yes";
  }
}

export function confirmed(text, yes = "Do it") {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("[data-text]").textContent = text;
  dialog.querySelector("[data-yes]").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

addEventListener("pageshow", () => { // also after going back to a page that was kept
  for (const form of document.forms) { delete form.dataset.sent; delete form.dataset.agreed; }
  for (const each of document.querySelectorAll("[aria-busy=true]")) each.removeAttribute("aria-busy");
});
