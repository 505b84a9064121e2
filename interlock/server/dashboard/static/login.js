// Tells beside the field what is wrong with a key; without scripts the server's answer is shown as it is.
document.querySelector("[data-login]").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  if (answer.ok || answer.redirected) return location.assign(answer.redirected ? answer.url : form.elements.next.value);
  const told = document.getElementById("key-fault");
  told.textContent = (await answer.json().catch(() => ({}))).detail || "That did not work.";
  told.hidden = false;
  form.elements.key.setAttribute("aria-invalid", "true");
  form.elements.key.select();
  delete form.dataset.sent;
  form.querySelector("[aria-busy]")?.removeAttribute("aria-busy");
});
