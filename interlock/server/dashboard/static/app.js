// Begins everything; each part does nothing where a page has no use for it.
import { confirmations } from "./dialogs.js";
import { figures } from "./figures.js";
import { keys } from "./keys.js";
import { live } from "./live.js";
import { theme } from "./theme.js";
import { times } from "./times.js";
import { toasts } from "./toasts.js";
import { widgets } from "./widgets.js";

document.documentElement.classList.add("scripted");
for (const begin of [theme, keys, confirmations, toasts, times, widgets, live, figures]) begin();
