// Buttons and forms that ask the studio for something: [data-act] names a command or an action of the page.
// A request has an id that the browser chose and is repeated until the studio has said what became of it, also after a
// reload; nothing is done twice.
//
//   <button data-act="HoldJob" data-values='{"id": "…"}' data-confirm="Sure?" data-done="Held.">Hold</button>
//   <form data-act="AddPrompt" data-goto="/prompts?id={id}"> <input name="name"> … <button>Add</button> </form>
//   <button data-act="HoldJob" data-each=".tb-pick:checked">Hold those chosen</button>   each has its own data-values
//   <button data-dialog="element-id">opens that <dialog></button>
//
// Fields of a form become data by their names; data-as says how: number, integer, json, lines, flag. Empty fields are
// left out. A field that is refused is marked (aria-invalid) and shows why. What is typed into a form with data-draft
// is kept until its request is accepted (see drafts.js).
//
// `tunebus:sending` is dispatched on a form that a person has sent, whose request is remembered already; a script that
// has to learn something first adds a promise to its `detail`, and the fields are read once more after that.

import { escape, look, notice, problem, say } from "./live.js";

const AGAIN = 1500;
const PATIENCE = 150; // so long a person takes what was pressed for done at once
const KEY = "tunebus-asked";

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) {
    document.getElementById(opener.dataset.dialog)?.showModal();
    return;
  }
  if (event.target.closest("[data-close]")) event.target.closest("dialog")?.close();
  const copier = event.target.closest("[data-copy]");
  if (copier) navigator.clipboard.writeText(copier.dataset.copy).then(() => notice(escape(say("copied"))));
  const button = event.target.closest("button[data-act]");
  if (button && !button.disabled) press(button);
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-act]");
  if (!form) return;
  event.preventDefault();
  submit(form);
});

async function press(button) {
  if (isBusy(button)) return;
  if (button.dataset.confirm && !(await confirmed(button.dataset.confirm, button.textContent))) return;
  const values = JSON.parse(button.dataset.values ?? "{}");
  button.closest("dialog")?.close();
  const chosen = button.dataset.each
    ? [...document.querySelectorAll(button.dataset.each)].map((one) => JSON.parse(one.dataset.values))
    : [{}];
  button.setAttribute("aria-busy", "true");
  const answers = await Promise.all(chosen.map((one) => start(button, { ...one, ...values })));
  if (!answers.some((one) => one.leaves)) button.removeAttribute("aria-busy");
}

async function submit(form) {
  if (isBusy(form)) return;
  clearErrors(form);
  busy(form, true);
  const answer = await start(form, filled(form), form);
  if (!answer.leaves) busy(form, false);
  if (answer?.outcome === "accepted") {
    form.closest("dialog")?.close();
    if (form.hasAttribute("data-reset")) form.reset();
  }
}

const filled = (form) => ({ ...JSON.parse(form.dataset.values ?? "{}"), ...fields(form) });
const isBusy = (element) => element.getAttribute("aria-busy") === "true"; // pressed twice is asked once

/** Shows that a form's request is under way, on the form and on the button that sends it. */
function busy(form, on) {
  for (const one of [form, form.querySelector("button:not([type]), button[type=submit]")]) {
    if (on) one?.setAttribute("aria-busy", "true");
    else one?.removeAttribute("aria-busy");
  }
}

/** What a form's fields hold, by name; a dotted name goes into an object. */
export function fields(form) {
  const data = {};
  for (const field of form.elements) {
    if (!field.name || field.matches(":disabled") || (field.type === "radio" && !field.checked)) continue;
    const value = read(field);
    if (value === undefined) continue;
    const path = field.name.split(".");
    let place = data;
    for (const step of path.slice(0, -1)) place = place[step] ??= {};
    place[path.at(-1)] = value;
  }
  return data;
}

function read(field) {
  const as = field.dataset.as;
  if (field.type === "checkbox" && as !== "list") return field.checked;
  const text = field.multiple ? [...field.selectedOptions].map((one) => one.value) : field.value;
  if (field.multiple) return text.length ? text : undefined;
  if (text.trim() === "" && !field.hasAttribute("data-keep-empty")) return undefined;
  if (as === "number" || as === "integer") return Number.isFinite(Number(text)) ? Number(text) : text;
  if (as === "flag") return text === "true";
  if (as === "lines") return text.split(/[\n,]/).map((one) => one.trim()).filter(Boolean);
  if (as === "json") {
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }
  return text;
}

/** Asks for an action until it is known what became of it, and returns that. For scripts; a page that is left forgets. */
export async function asked(act, data) {
  const request = { id: crypto.randomUUID(), act, data };
  for (;;) {
    const answer = await send(request);
    if (answer.outcome !== "pending") return answer;
    await pause(AGAIN);
  }
}

/** Sends one request, as the data-* attributes of its source say, until its answer is learnt, and returns that. It
 * `leaves` the page if there is an address to go to: what shows that it is under way then stays until that page is
 * there. */
export async function start(source, data, form = null) {
  const { act, done = "", goto = "", draft = "" } = source.dataset;
  const request = { id: crypto.randomUUID(), act, data, done, goto, draft };
  remember(request);
  if (form) await ready(form, request);
  return settle(request, await send(request), form);
}

/** Waits for what scripts have to learn before a form is sent, and says so as soon as a person would notice. */
async function ready(form, request) {
  const learning = [];
  form.dispatchEvent(new CustomEvent("tunebus:sending", { bubbles: true, detail: learning }));
  if (!learning.length) return;
  const noticed = setTimeout(() => unconfirmed(request), PATIENCE);
  await Promise.all(learning);
  clearTimeout(noticed);
  clearErrors(form); // of what was learnt, which the studio is about to say itself
  request.data = filled(form);
  remember(request);
}

function unconfirmed(request) {
  request.box ??= notice(escape(say("not_confirmed")), { kind: "info", stays: true });
}

const pause = (time) => new Promise((resolve) => { setTimeout(resolve, time); });

async function send({ id, act, data }) {
  try {
    const answer = await fetch(`/act/${encodeURIComponent(act)}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ id, data }),
    });
    if (answer.status === 401) {
      window.location.reload(); // to sign in; it is asked again after that
      return { outcome: "pending" };
    }
    const learnt = await answer.json();
    return learnt.outcome || learnt.error ? learnt : { outcome: "pending" }; // else it is of a proxy
  } catch {
    return { outcome: "pending" };
  }
}

async function settle(request, first, form = null) {
  let answer = first;
  while (answer.outcome === "pending") {
    unconfirmed(request);
    document.dispatchEvent(new CustomEvent("tunebus:pending", { detail: request }));
    await pause(AGAIN);
    answer = await send(request);
  }
  forget(request.id);
  request.box?.remove();
  if (answer.error) {
    const left = form ? showErrors(form, answer.error) : answer.error;
    if (left) notice(problem(left), { kind: "error" });
    return answer;
  }
  if (request.draft) document.dispatchEvent(new CustomEvent("tunebus:accepted", { detail: { draft: request.draft } }));
  const goto = answer.goto || request.goto.replace("{id}", encodeURIComponent(answer.id ?? ""));
  const said = answer.words || request.done || say("accepted");
  if (goto) {
    sessionStorage.setItem("tunebus-said", said);
    window.location.assign(goto);
    return { ...answer, leaves: true };
  }
  notice(escape(said));
  look();
  return answer;
}

/** Puts each wrong field's message beside it; returns what belongs to no field of the form. */
export function showErrors(form, error, { focus = true } = {}) {
  const left = (error.details ?? [error]).filter((one) => {
    const field = one.param && [...form.elements].find((field) => field.name === one.param || field.name === one.param.split(".").at(-1));
    if (!field) return true;
    const words = document.createElement("div");
    words.className = "tb-field-error";
    words.id = `tb-error-${field.name}`;
    words.dataset.message = one.message;
    words.textContent = one.hint ? `${one.message}; ${one.hint}` : one.message;
    field.setAttribute("aria-invalid", "true");
    field.dataset.ownDescribed ??= field.getAttribute("aria-describedby") ?? "";
    field.setAttribute("aria-describedby", `${words.id} ${field.dataset.ownDescribed}`.trim());
    (field.closest(".tb-field") ?? field).append(words);
    return false;
  });
  if (focus) {
    const first = form.querySelector("[aria-invalid]");
    for (let one = first?.closest("details"); one; one = one.parentElement.closest("details")) one.open = true;
    first?.focus();
  }
  return left.length ? { ...error, details: left } : null;
}

export function clearErrors(form) {
  for (const words of form.querySelectorAll(".tb-field-error")) words.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    if (field.dataset.ownDescribed) field.setAttribute("aria-describedby", field.dataset.ownDescribed);
    else field.removeAttribute("aria-describedby");
  }
}

/** Asks in a dialog; true when a person agreed. */
function confirmed(question, agree) {
  const dialog = document.createElement("dialog");
  dialog.className = "tb-dialog";
  dialog.innerHTML = `<p>${escape(question)}</p><form method="dialog" class="tb-actions">`
    + `<button class="tb-button tb-danger" value="yes">${escape(agree.replace(/…$/, ""))}</button>`
    + `<button class="tb-button" value="">${escape(say("cancel"))}</button></form>`;
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    resolve(dialog.returnValue === "yes");
    dialog.remove();
  }));
}

const remembered = () => JSON.parse(sessionStorage.getItem(KEY) ?? "[]");

function remember({ id, act, data, done, goto, draft }) {
  forget(id);
  sessionStorage.setItem(KEY, JSON.stringify([...remembered(), { id, act, data, done, goto, draft }].slice(-50)));
}

function forget(id) {
  sessionStorage.setItem(KEY, JSON.stringify(remembered().filter((one) => one.id !== id)));
}

// A page that a browser kept while another was shown is no longer leaving.
window.addEventListener("pageshow", ({ persisted }) => {
  if (persisted) for (const one of document.querySelectorAll("form[aria-busy], button[aria-busy]")) one.removeAttribute("aria-busy");
});

// What an earlier page of this tab said on leaving, and what it never learnt.
const said = sessionStorage.getItem("tunebus-said");
if (said) {
  sessionStorage.removeItem("tunebus-said");
  notice(escape(said));
}
for (const request of remembered()) send(request).then((answer) => settle({ ...request, goto: "" }, answer));
