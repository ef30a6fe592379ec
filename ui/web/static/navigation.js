// Filters, sorting and paging without loading a page anew: links and forms with data-partial change the address and
// let the parts follow it. The address says everything, so Back, reload and a copied link show the same.

import { look } from "./live.js";

const TYPING = 250;

let typing = 0; // waits until somebody pauses
let typed = null; // the field whose words the page's links do not have yet

function go(address, { replace = false } = {}) {
  clearTimeout(typing);
  typing = 0;
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
  go(link.pathname + (link.closest("th") ? withTyped(link.search) : link.search));
  fill();
});

/** A sorting's arguments with what was typed a moment ago, which its link does not know yet. */
function withTyped(search) {
  if (!typed?.isConnected) return search;
  const given = new URLSearchParams(search);
  if (typed.value) given.set(typed.name, typed.value);
  else given.delete(typed.name);
  return given.size ? `?${given}` : "";
}

document.addEventListener("tunebus:changed", () => { if (!typing) typed = null; });

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

document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-partial]");
  if (!form || event.target.hasAttribute("data-on-submit")) return;
  clearTimeout(typing);
  const isChosen = event.target.matches("select, [type=checkbox], [type=radio]");
  if (!isChosen) typed = event.target;
  typing = setTimeout(() => follow(form, { replace: true }), isChosen ? 0 : TYPING);
});

window.addEventListener("popstate", () => {
  clearTimeout(typing);
  typing = 0;
  fill();
  document.dispatchEvent(new CustomEvent("tunebus:address"));
  look({ force: true });
});
