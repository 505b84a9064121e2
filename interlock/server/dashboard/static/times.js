// Times as people say them, kept true while the page is open.
const UNITS = [["d", 86400], ["h", 3600], ["min", 60]];

function ago(moment) {
  const seconds = Math.trunc((Date.now() - new Date(moment)) / 1000);
  const form = (text) => (seconds >= 0 ? `${text} ago` : `in ${text}`);
  for (const [unit, size] of UNITS) if (Math.abs(seconds) >= size) return form(`${Math.trunc(Math.abs(seconds) / size)} ${unit}`);
  return Math.abs(seconds) < 2 ? "now" : form(`${Math.abs(seconds)} s`);
}

export function tell() {
  for (const each of document.querySelectorAll("time[datetime]")) {
    const text = ago(each.dateTime);
    if (each.textContent !== text) each.textContent = text;
  }
}

export function times() {
  setInterval(tell, 5000);
}
