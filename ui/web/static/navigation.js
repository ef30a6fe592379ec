// Filters, sorting and paging without loading a page anew: links and forms with data-partial change the address and
// let the parts follow it. The address says everything, so Back, reload and a copied link show the same.

import { look } from "./live.js";

const TYPING = 250;

function go(address, { replace = false } = {}) {
  if (address === window.location.pathname + window.location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  document.dispatchEvent(new CustomEvent("tunebus:address"));
  look({ force: true });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-partial]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (link.pathname !== window.location.pathname) return;
  event.preventDefault();
  go(link.pathname + link.search);
  fill();
});

/** Lets the forms say what the address says, where it was not they that changed it. */
function fill() {
  const given = new URLSearchParams(window.location.search);
  for (const form of document.querySelectorAll("form[data-partial]")) {
    for (const field of form.elements) {
      if (!field.name) continue;
      if (field.matches("[type=checkbox], [type=radio]")) field.checked = given.getAll(field.name).includes(field.value);
      else field.value = given.get(field.name) ?? (field.matches("select") ? field.options[0]?.value : "");
    }
  }
}

function follow(form, options) {
  const filled = [...new FormData(form)].filter(([, value]) => value !== "");
  const query = new URLSearchParams(filled).toString();
  go(form.getAttribute("action") + (query ? `?${query}` : ""), options);
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-partial]");
  if (!form) return;
  event.preventDefault();
  follow(form);
});

let typing = 0;
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-partial]");
  if (!form || event.target.hasAttribute("data-on-submit")) return;
  clearTimeout(typing);
  typing = setTimeout(() => follow(form, { replace: true }), event.target.matches("select, [type=checkbox], [type=radio]") ? 0 : TYPING);
});

window.addEventListener("popstate", () => {
  fill();
  document.dispatchEvent(new CustomEvent("tunebus:address"));
  look({ force: true });
});
