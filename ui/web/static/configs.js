// The editor of configs: fields ([data-setting]) and the JSON beside them say the same; a change of either is taken
// over by the other, and what is wrong is said at once beside its field. Unknown keys stay in the JSON.

import { escape } from "./live.js";

const TYPING = 250;
let typing = 0;
let turn = 0;

const settings = (form) => [...form.querySelectorAll("[data-setting]")];
const lastGood = new WeakMap(); // form -> what its JSON said when it was an object

document.addEventListener("input", (event) => {
  const form = event.target.form;
  if (!form?.matches("form[data-config]")) return;
  if (event.target.dataset.setting) fromField(form, event.target);
  else if (event.target.name === "config") fromText(form);
  else return;
  clearTimeout(typing);
  typing = setTimeout(() => check(form), TYPING);
});

document.addEventListener("tunebus:drafted", (event) => {
  if (!event.target.matches?.("form[data-config]")) return;
  fromText(event.target);
  check(event.target);
});

function parsed(form) {
  try {
    const found = JSON.parse(form.elements.config.value || "{}");
    if (found && typeof found === "object" && !Array.isArray(found)) {
      lastGood.set(form, found);
      return found;
    }
  } catch { /* it is being typed */ }
  return null;
}

function fromField(form, field) {
  const body = { ...(parsed(form) ?? lastGood.get(form) ?? {}) };
  const value = valueOf(field);
  if (value === undefined) delete body[field.dataset.setting];
  else body[field.dataset.setting] = value;
  form.elements.config.value = JSON.stringify(body, null, 2);
  form.elements.config.dispatchEvent(new Event("change", { bubbles: true })); // drafts keep it
}

function fromText(form) {
  const body = parsed(form);
  if (!body) return;
  for (const field of settings(form)) write(field, body[field.dataset.setting]);
}

function valueOf(field) {
  const text = field.value.trim();
  if (field.validity?.badInput) return field.dataset.setting; // no number: said by the check
  if (text === "") return undefined;
  switch (field.dataset.kind) {
    case "flag": return text === "true";
    case "integer":
    case "number": return Number(text);
    case "names": return text.includes(",") || text !== "all-linear" ? text.split(",").map((one) => one.trim()).filter(Boolean) : text;
    default: return text;
  }
}

function write(field, value) {
  if (value === undefined || value === null) field.value = "";
  else field.value = Array.isArray(value) ? value.join(", ") : String(value);
}

async function check(form) {
  const now = ++turn;
  let answer;
  try {
    const asked = await fetch("/check/config", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ type: form.dataset.config, config: form.elements.config.value }),
    });
    answer = await asked.json();
  } catch {
    return;
  }
  if (now === turn) place(form, answer.error ? answer.error.details ?? [answer.error] : []);
}

/** Puts what is wrong beside the setting it is about, or beside the JSON. */
function place(form, problems) {
  for (const words of form.querySelectorAll("[data-own-wrong]")) words.remove();
  for (const field of [...settings(form), form.elements.config]) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-errormessage");
  }
  for (const { param, message, hint } of problems) {
    const name = (param ?? "").replace(/^config\./, "").split(".")[0];
    const field = settings(form).find((one) => one.dataset.setting === name) ?? form.elements.config;
    const words = document.createElement("div");
    words.className = "tb-field-error";
    words.id = `${field.id}-wrong`;
    words.dataset.ownWrong = "";
    const about = field === form.elements.config && name && name !== "config" ? `${name}: ` : "";
    words.innerHTML = escape(`${about}${message}${hint ? `. ${hint}` : ""}`);
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-errormessage", words.id);
    field.closest(".tb-field").append(words);
  }
}
