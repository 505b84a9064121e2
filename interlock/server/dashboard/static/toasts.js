// Short words about what was done, which go away by themselves.
const SECONDS = 5;

export function say(text, { bad = false } = {}) {
  const toast = document.createElement("p");
  toast.className = bad ? "toast bad" : "toast";
  toast.textContent = text;
  document.getElementById("toasts").append(toast);
  leave(toast);
}

function leave(toast) {
  setTimeout(() => toast.remove(), SECONDS * 1000);
}

export function toasts() {
  document.querySelectorAll("#toasts .toast").forEach(leave);
  const here = new URL(location);
  if (here.searchParams.has("said")) { // said once, also when the page is loaded again
    here.searchParams.delete("said");
    history.replaceState(null, "", here);
  }
}
