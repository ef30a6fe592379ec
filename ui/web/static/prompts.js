// The editor of prompts: columns go in where the cursor is, templates are generated, and an example of what is typed is
// shown with the fields that are wrong. <form data-example="DATASET"> with three templates; the place of the example is
// [data-example-place], what it is laid out as [data-layout], another row [data-another].

import { clearErrors, showErrors } from "./acting.js";
import { morph, problem } from "./live.js";

const TYPING = 300;
const NAMES = ["input_template", "completion_template", "prompt_template"];
let typing = 0;
let turn = 0;
let seed = 0;
let place = null; // the template that was written in last

const editor = () => document.querySelector("form[data-example]");
const templates = (form) => NAMES.map((name) => form.elements[name]);

document.addEventListener("focusin", (event) => {
  if (event.target.matches("form[data-example] textarea")) place = event.target;
});

document.addEventListener("click", (event) => {
  const column = event.target.closest("[data-insert]");
  if (column) insert(column);
  const maker = event.target.closest("[data-generate]");
  if (maker) generate(maker);
  if (event.target.closest("[data-another]")) {
    seed += 1;
    show();
  }
});

function insert(button) {
  const form = button.form;
  const field = place?.form === form ? place : form.elements.input_template;
  field.focus();
  field.setRangeText(button.dataset.insert, field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

async function generate(button) {
  const form = button.form;
  const output = form.querySelector("[data-output]").value;
  const query = new URLSearchParams({ dataset: button.dataset.generate, ...(output ? { output } : {}) });
  const answer = await fetch(`/data/prompt-generated?${query}`);
  const made = await answer.json();
  if (made.error) {
    example(problem(made.error));
    return;
  }
  for (const field of templates(form)) {
    field.value = made[field.name];
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

document.addEventListener("input", (event) => {
  if (!event.target.form?.matches("form[data-example]") || !NAMES.includes(event.target.name)) return;
  soon(TYPING);
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-layout]")) show();
});

document.addEventListener("tunebus:drafted", (event) => {
  if (event.target.matches?.("form[data-example]")) soon(0);
});

/** An editor that has just come, or is for another dataset now, shows its example. */
document.addEventListener("tunebus:changed", () => {
  const form = editor();
  if (form && form.dataset.ownExample !== form.dataset.example) soon(0);
});

function soon(pause) {
  clearTimeout(typing);
  typing = setTimeout(show, pause);
}

function example(html) {
  const there = document.querySelector("[data-example-place]");
  if (there) morph(there, html);
}

async function show() {
  const form = editor();
  if (!form) return;
  form.dataset.ownExample = form.dataset.example;
  const now = ++turn;
  const typed = { dataset_id: form.dataset.example, seed };
  for (const field of templates(form)) typed[field.name] = field.value;
  const layout = document.querySelector("[data-layout]")?.value;
  if (layout) typed.model_id = layout;
  const there = document.querySelector("[data-example-place]");
  there?.setAttribute("aria-busy", "true");
  let answer;
  try {
    const asked = await fetch("/check/prompt", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(typed),
    });
    answer = await asked.json();
  } catch {
    return; // what is standing says that the studio is away
  }
  if (now !== turn) return;
  there?.removeAttribute("aria-busy");
  clearErrors(form);
  if (!answer.error) example(answer.html);
  else {
    const left = showErrors(form, answer.error, { focus: false });
    if (left) example(problem(left));
  }
}
