// The form of evaluations: says what would be scored as soon as something is ticked, and finds a name among many.

import { morph } from "./live.js";
import { fields } from "./acting.js";

let shown = "";

async function plan(form) {
  const { adapters = {}, models = {}, trainings = {}, with_base: base, dataset_id: dataset = "" } = fields(form);
  const ticked = (boxes) => Object.keys(boxes).filter((id) => boxes[id]).join(",");
  const query = new URLSearchParams({ adapters: ticked(adapters), models: ticked(models), trainings: ticked(trainings), with_base: base, dataset_id: dataset });
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
