// Keeps what is typed into <form data-draft="name"> in this browser until its request is accepted: over reloads, in
// another tab, while the studio is down. What the studio writes into a form that is shown never overwrites it.
//
//   <form data-act="AddPrompt" data-draft="prompt" data-draft-fixed="dataset_id">
//     …fields with names…
//     <p data-draft-note hidden>Kept in this browser. <button type="button" data-draft-clear>Start over</button></p>
//   </form>
//
// data-draft-fixed names fields that the address has chosen: they win over a draft when a page is opened by a link, and
// give way when it is loaded anew. `tunebus:drafted` is dispatched on a form when its fields were set by a draft.

const PREFIX = "tunebus-draft-";
const SKIPPED = ["password", "file", "submit", "button", "reset"];
const initial = new WeakMap();

const key = (form) => PREFIX + form.dataset.draft;
const fieldsOf = (form) => [...form.elements].filter((one) => one.name && !SKIPPED.includes(one.type));

function read(field) {
  if (field.type === "checkbox") return field.checked;
  if (field.multiple) return [...field.selectedOptions].map((one) => one.value);
  return field.value;
}

function write(field, value) {
  if (field.type === "checkbox") field.checked = Boolean(value);
  else if (field.type === "radio") field.checked = field.value === value;
  else if (field.multiple) for (const one of field.options) one.selected = value.includes(one.value);
  else if (field.nodeName !== "SELECT" || [...field.options].some((one) => one.value === value)) field.value = value;
}

/** What all fields of a form hold, by name. */
function values(form) {
  const found = {};
  for (const field of fieldsOf(form)) if (field.type !== "radio" || field.checked) found[field.name] = read(field);
  return found;
}

function fill(form, wanted) {
  for (const field of fieldsOf(form)) if (field.name in wanted) write(field, wanted[field.name]);
}

function kept(form) {
  try {
    return JSON.parse(localStorage.getItem(key(form)));
  } catch {
    return null;
  }
}

function note(form, shown) {
  for (const one of form.querySelectorAll("[data-draft-note]")) one.hidden = !shown;
}

/** Takes up a form that has just come: what was typed into it before goes into its fields. */
function adopt(form) {
  form.dataset.ownDrafted = "";
  initial.set(form, values(form));
  const draft = kept(form);
  if (draft) {
    const fixed = performance.getEntriesByType("navigation")[0]?.type === "navigate"
      ? (form.dataset.draftFixed ?? "").split(" ") : [];
    fill(form, Object.fromEntries(Object.entries(draft).filter(([name]) => !fixed.includes(name))));
  } else fill(form, values(form)); // what a script has set is not set again by what the studio writes
  note(form, Boolean(draft));
  form.dispatchEvent(new CustomEvent("tunebus:drafted", { bubbles: true }));
}

const adoptAll = () => { for (const form of document.querySelectorAll("form[data-draft]:not([data-own-drafted])")) adopt(form); };

/** Keeps what a form holds now. Scripts that set fields call this by dispatching `input` on one of them. */
function keep(event) {
  const form = event.target.form;
  if (!form?.dataset.draft || !event.target.name) return;
  try {
    localStorage.setItem(key(form), JSON.stringify(values(form)));
    note(form, true);
  } catch {
    note(form, false); // a browser that keeps nothing still sends
  }
}

document.addEventListener("input", keep);
document.addEventListener("change", keep);

document.addEventListener("click", (event) => {
  const form = event.target.closest("[data-draft-clear]")?.closest("form[data-draft]");
  if (!form) return;
  localStorage.removeItem(key(form));
  fill(form, initial.get(form) ?? {});
  note(form, false);
  form.dispatchEvent(new CustomEvent("tunebus:drafted", { bubbles: true }));
});

document.addEventListener("tunebus:accepted", ({ detail }) => {
  localStorage.removeItem(PREFIX + detail.draft);
  for (const form of document.querySelectorAll("form[data-draft]")) if (form.dataset.draft === detail.draft) note(form, false);
});
new MutationObserver(adoptAll).observe(document, { childList: true, subtree: true });
adoptAll();
