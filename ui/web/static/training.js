// The training form: says at once what is wrong, what it comes to and what that needs, and follows what there is to
// choose from. The form itself is never rendered anew while it is shown.

import { asked, clearErrors, fields, showErrors } from "./acting.js";
import { escape, morph, problem, say } from "./live.js";

const TYPING = 250;
const NAMES_TRIED = 20;
const CONFIGS = ["configs.lora", "configs.training_arguments"];
const PATIENCE = 5000;
const CHANGED = 1000;
const touched = new Set();
let spellings = {};
let spelling = "cli";
let asking = 0;
const AGAIN = 1500;
let underWay = 0;
let typing = 0;
let stale = false; // the studio changed while an answer was on its way, which it does not make worthless
let due = false; // something was typed that nothing was asked about yet
let shownExample = "";

const formOf = () => document.getElementById("tb-train");
const byName = (form, name) => form.elements.namedItem(name);

/** Asks what the form comes to, and shows it, unless something else was typed meanwhile. */
async function check(form) {
  clearTimeout(typing);
  due = stale = false;
  underWay += 1;
  await ask(form, ++asking).finally(() => { underWay -= 1; });
  if (stale && !underWay && form.isConnected) soon(form, CHANGED);
}

async function ask(form, number) {
  let answer;
  try {
    const response = await fetch(`/check/${form.dataset.check}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(fields(form)),
    });
    answer = await response.json();
  } catch { // the page says that the studio does not answer
    setTimeout(() => { if (number === asking && form.isConnected) ask(form, number); }, AGAIN);
    return;
  }
  if (number !== asking || !form.isConnected) return;
  if (answer.error) {
    morph(document.getElementById("tb-problems"), problem(answer.error));
    return;
  }
  show(form, answer);
}

function show(form, answer) {
  spellings = answer.spellings;
  spell();
  const early = (one) => one.message === "is required" && !touched.has(one.param);
  const shown = answer.errors.filter((one) => !early(one));
  clearErrors(form);
  const left = shown.length ? showErrors(form, { details: shown }, { focus: false }) : null;
  morph(document.getElementById("tb-problems"), left ? problem(left) : "");
  for (const details of form.querySelectorAll("details.tb-more")) {
    if (details.querySelector("[aria-invalid]")) details.open = true;
  }
  states(form, answer.errors);
  morph(document.getElementById("tb-estimate"), answer.errors.length
    ? `<p class="tb-small">${escape(say("train.mend"))}</p>` : answer.estimate);
  for (const [name, words] of Object.entries(answer.takes)) {
    const field = byName(form, name);
    if (field?.nodeName === "INPUT") field.placeholder = words;
  }
  wait(form, answer);
}

/** Where no worker has the memory, the command asks for it, so that the job waits for one that has. */
function wait(form, answer) {
  const own = byName(form, "num_memory").value.trim();
  document.getElementById("tb-wait-label").hidden = !answer.wait_memory || Boolean(own);
  document.getElementById("tb-wait-words").textContent = answer.wait_words ?? "";
  const field = byName(form, "wait_memory");
  const wanted = answer.wait_memory && !own && document.getElementById("tb-wait").checked ? String(answer.wait_memory) : "";
  if (!answer.errors.length && field.value !== wanted) {
    field.value = wanted;
    check(form);
  }
}

/** Beside the name of each step: whether something is missing or wrong in it. */
function states(form, errors) {
  const wrong = new Set(errors.map((one) => byName(form, one.param ?? "")).flatMap((field) => {
    const element = field instanceof RadioNodeList ? field[0] : field;
    return element ? [element.closest("[data-step]")?.dataset.step] : [];
  }));
  if (errors.length) wrong.add("review");
  for (const step of form.querySelectorAll("[data-step-state]")) {
    const name = step.dataset.stepState;
    const state = wrong.has(name) ? "open" : "done";
    step.dataset.state = state;
    step.textContent = name === "review" && state === "done" ? say("train.state.ready") : say(`train.state.${state}`);
  }
}

function spell() {
  document.getElementById("tb-spelling").textContent = spellings[spelling] ?? "";
  document.getElementById("tb-copy").dataset.copy = spellings[spelling] ?? "";
  document.getElementById("tb-spelling").setAttribute("aria-labelledby", `tb-spelling-${spelling}`);
  for (const tab of document.querySelectorAll("[data-spelling]")) {
    tab.setAttribute("aria-selected", String(tab.dataset.spelling === spelling));
  }
}

/** What follows from what is chosen: prompts of the dataset, settings of the method, how many fields are changed. */
function adapt(form) {
  const method = form.querySelector("[name=method]:checked")?.value;
  for (const part of form.querySelectorAll("[data-when-method]")) {
    part.hidden = part.dataset.whenMethod !== method;
    part.disabled = part.hidden;
  }
  const dataset = byName(form, "dataset_id").value;
  const prompts = byName(form, "prompt_id");
  for (const option of prompts.options) {
    option.hidden = option.disabled = Boolean(option.dataset.of) && option.dataset.of !== dataset;
  }
  if (prompts.selectedOptions[0]?.disabled) {
    prompts.value = [...prompts.options].find((one) => one.dataset.of === dataset)?.value ?? "";
  }
  for (const name of CONFIGS) arrange(byName(form, name), modelOf(form)?.of);
  for (const details of form.querySelectorAll("details.tb-more")) {
    const changed = [...details.querySelectorAll("[name]")].filter((one) => !one.matches(":disabled")
      && (one.type === "checkbox" ? one.checked : one.multiple ? one.selectedOptions.length : one.value.trim())).length;
    details.querySelector("[data-changed]").textContent = changed ? say("train.changed", { n: changed }) : "";
  }
  for (const preset of form.querySelectorAll("[data-preset]")) {
    const wanted = presetOf(form, preset);
    const on = Object.entries(wanted).every(([name, value]) => byName(form, name)?.value.trim() === String(value));
    preset.setAttribute("aria-pressed", String(on));
  }
  example(form);
}

const modelOf = (form) => known("base_model_id").find((one) => one.value === byName(form, "base_model_id").value);

/** Lists configs in groups: those made for the model's family, those for any, and those for others. */
function arrange(select, family) {
  const kept = select.selectedOptions[0];
  const groups = new Map([["fitting", []], ["general", []], ["other", []]]);
  for (const one of known(select.name)) groups.get(!one.of ? "general" : one.of === family ? "fitting" : "other").push(one);
  const there = [...groups].filter(([, found]) => found.length);
  const wanted = JSON.stringify(there);
  if (select.dataset.ownArranged === wanted) return;
  select.dataset.ownArranged = wanted;
  const lists = there.map(([name, found]) => {
    const group = document.createElement("optgroup");
    group.label = say(`train.configs.${name}`);
    group.append(...found.map((one) => new Option(one.words, one.value)));
    return group;
  });
  select.replaceChildren(select.options[0], ...(lists.length > 1 ? lists : lists.flatMap((group) => [...group.children])));
  if (kept && ![...select.options].some((one) => one.value === kept.value)) select.append(kept); // chosen, though it is gone
  select.value = kept?.value ?? "";
}

/** What a preset types, with what suits the chosen model where the preset leaves it open. */
function presetOf(form, preset) {
  const found = JSON.parse(preset.dataset.preset);
  for (const [name, value] of Object.entries(modelOf(form)?.fill ?? {})) if (!found[name]) found[name] = value;
  return found;
}

/** Sets fields as a person would, and lets that be seen. */
function fill(form, values) {
  let last = null;
  for (const [name, value] of Object.entries(values)) {
    const field = byName(form, name);
    if (!field) continue;
    if (field instanceof RadioNodeList) field.value = value;
    else if (field.value === String(value)) continue;
    else field.value = String(value);
    last = field instanceof RadioNodeList ? field[0] : field;
    const box = last.closest(".tb-field");
    box?.classList.remove("tb-set");
    if (box) requestAnimationFrame(() => box.classList.add("tb-set"));
  }
  last?.dispatchEvent(new Event("input", { bubbles: true }));
}

async function example(form, { again = false } = {}) {
  const dataset = byName(form, "dataset_id").value;
  const place = document.getElementById("tb-train-example");
  const prompt = byName(form, "prompt_id").value;
  const seed = again ? Math.floor(Math.random() * 1e6) : 0;
  const query = new URLSearchParams({ dataset, prompt, seed });
  if (!dataset) {
    morph(place, "");
    shownExample = "";
    return;
  }
  const wanted = `${dataset}/${prompt}`;
  if (wanted === shownExample && !again) return;
  shownExample = wanted;
  place.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(`/fragment/training-example?${query}`);
    const html = answer.ok ? await answer.text() : problem((await answer.json()).error);
    if (shownExample === wanted) morph(place, html);
  } catch {
    shownExample = "";
  }
  place.removeAttribute("aria-busy");
}

const known = (name) => JSON.parse(document.getElementById("tb-train-choices")?.dataset.choices ?? "{}")[name] ?? [];

/** Lets the lists of the form follow what has come and gone; what is chosen stays chosen while it is there. */
function follow(form) {
  for (const name of ["dataset_id", "base_model_id", "prompt_id", "depends_on"]) {
    const select = byName(form, name);
    const there = new Map([...select.options].filter((one) => one.value).map((one) => [one.value, one]));
    const wanted = known(name);
    let at = select.options[0]?.value === "" ? select.options[0] : null;
    for (const one of wanted) {
      const option = there.get(one.value) ?? new Option(one.words, one.value);
      there.delete(one.value);
      option.text = one.words;
      option.dataset.of = one.of;
      if ((at ? at.nextSibling : select.firstChild) !== option) select.insertBefore(option, at ? at.nextSibling : select.firstChild);
      at = option;
    }
    for (const gone of there.values()) if (!gone.selected) gone.remove();
  }
}

/** Adds an uploaded file as a dataset, named after the file; with a number where that name is taken. */
async function add(path, file) {
  const kept = await asked("keep_dataset_upload", { path, name: file });
  if (kept.error) return kept;
  const stem = file.replace(/\.[^.]*$/, "").slice(0, 150).trim() || "dataset";
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? stem : `${stem}-${number}`;
    const added = await asked("AddDataset", { name, upload: kept.id });
    if (added.error?.code !== "duplicate_name" || number === NAMES_TRIED) return { ...added, name };
  }
}

async function upload(form, input) {
  const file = input.files[0];
  if (!file) return;
  const state = document.getElementById("tb-upload-state");
  const trouble = document.getElementById("tb-upload-problem");
  const refuse = (error) => { morph(trouble, problem(error)); state.textContent = ""; };
  morph(trouble, "");
  state.textContent = say("train.uploading", { name: file.name });
  input.value = "";
  if (file.size > Number(input.dataset.limitMb) * 1e6) {
    refuse({ message: say("train.too_large", { name: file.name, limit: input.dataset.limitMb }) });
    return;
  }
  const body = new FormData();
  body.append("files", file);
  const start = document.getElementById("tb-start");
  start.disabled = true; // what is being brought is meant, not what was chosen before
  try {
    const answer = await fetch("/gradio_api/upload", { method: "POST", body });
    const found = await answer.json();
    if (!answer.ok) { refuse(found.error ?? { message: say("failed") }); return; }
    state.textContent = say("train.reading", { name: file.name });
    const added = await add(found[0], file.name);
    if (added.error) { refuse(added.error); return; }
    const datasets = byName(form, "dataset_id");
    if (![...datasets.options].some((one) => one.value === added.id)) datasets.add(new Option(added.name, added.id), 0);
    datasets.value = added.id;
    state.textContent = say("train.uploaded", { name: added.name });
    datasets.dispatchEvent(new Event("change", { bubbles: true }));
  } catch {
    refuse({ message: say("train.not_uploaded") });
  } finally {
    start.disabled = false;
  }
}

function soon(form, pause = TYPING) {
  due ||= pause <= TYPING;
  clearTimeout(typing);
  typing = setTimeout(() => check(form), pause);
}

/** Ends once it is known what the form comes to, which decides whether the job asks for memory to wait for. */
async function answered(form) {
  if (due) check(form);
  for (const until = Date.now() + PATIENCE; (due || underWay) && Date.now() < until;) {
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
  for (const field of form.elements) touched.add(field.name);
  asking += 1; // what was asked before would take away what the studio now says
}

document.addEventListener("tunebus:drafted", (event) => {
  if (event.target.id !== "tb-train") return;
  adapt(event.target);
  check(event.target);
});

for (const type of ["input", "change"]) {
  document.addEventListener(type, (event) => {
    const form = event.target.closest?.("#tb-train");
    if (!form) return;
    if (event.target.id === "tb-train-file") {
      if (type === "change") upload(form, event.target);
      return;
    }
    touched.add(event.target.name);
    adapt(form);
    soon(form, event.target.nodeName === "SELECT" ? 0 : TYPING);
  });
}

document.addEventListener("tunebus:sending", ({ target, detail }) => {
  if (target.id === "tb-train") detail.push(answered(target));
});

document.addEventListener("click", (event) => {
  const form = formOf();
  if (!form) return;
  const preset = event.target.closest("[data-preset]");
  if (preset) fill(form, presetOf(form, preset));
  const way = event.target.closest("#tb-train [data-fill]");
  if (way) fill(form, JSON.parse(way.dataset.fill));
  const tab = event.target.closest("[data-spelling]");
  if (tab) { spelling = tab.dataset.spelling; spell(); }
  if (event.target.closest("#tb-another-row")) example(form, { again: true });
});

document.addEventListener("tunebus:changed", () => {
  const form = formOf();
  if (!form) return;
  follow(form);
  adapt(form);
  if (underWay) stale = true;
  else soon(form, CHANGED);
});
