// The form of evaluations: says what would be scored as soon as something is ticked, and finds a name among many.

import { morph } from "./live.js";
import { fields } from "./acting.js";

let shown = "";

const OPTIONS = ["with_base", "dataset_id", "prompt_id", "max_rows", "dataset_fraction", "train_test_split", "seed", "leakage"];

async function plan(form) {
  const given = fields(form);
  const query = new URLSearchParams();
  for (const name of ["adapters", "models", "trainings"]) {
    query.set(name, Object.entries(given[name] ?? {}).filter(([, ticked]) => ticked).map(([id]) => id).join(","));
  }
  for (const name of OPTIONS) if (given[name] !== undefined) query.set(name, given[name]);
  const address = `/fragment/evaluation-plan?${query}`;
  if (address === shown) return;
  shown = address;
  const answer = await fetch(address);
  const room = document.getElementById("tb-evaluate-plan");
  if (room && address === shown && answer.ok) morph(room, await answer.text());
}

document.addEventListener("input", (event) => {
  if (event.target.hasAttribute("data-seek")) {
    const wanted = event.target.value.trim().toLowerCase();
    for (const box of event.target.closest("fieldset").querySelectorAll(".tb-check")) {
      box.hidden = !box.textContent.toLowerCase().includes(wanted) && !box.querySelector("input").checked;
    }
    return;
  }
  const form = event.target.closest("#tb-evaluate-form");
  if (form) plan(form);
});

document.addEventListener("tunebus:drafted", (event) => {
  if (event.target.id === "tb-evaluate-form") plan(event.target);
});

document.addEventListener("tunebus:changed", () => {
  const form = document.getElementById("tb-evaluate-form");
  if (form) plan(form);
});
