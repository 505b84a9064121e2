// Light or dark: what the system says, until somebody chooses; the server reads the choice from a cookie.
const root = document.documentElement;

function shown() {
  return root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

export function switchTheme() {
  root.dataset.theme = shown() === "dark" ? "light" : "dark";
  document.cookie = `theme=${root.dataset.theme}; path=/ui; max-age=31536000; samesite=lax`;
}

export function theme() {
  document.querySelector("[data-theme-switch]")?.addEventListener("click", switchTheme);
}
