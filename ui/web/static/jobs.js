// Choosing jobs in the list: what is chosen stays chosen while the list is filtered, sorted and paged. And of a clone's
// form, how it differs from the job it is made from.

import { say } from "./live.js";

const chosen = new Map(); // ids to what the list last said of them: {kind, state}

const bar = () => document.querySelector(".tb-bulk");

function choose({ value, dataset, checked }) {
  if (checked) chosen.set(value, { kind: dataset.kind, state: dataset.state });
  else chosen.delete(value);
}

/** Shows what is chosen, wherever the list has been rendered anew. */
function show() {
  const there = bar();
  if (!there) return;
  const picks = [...document.querySelectorAll(".tb-pick")];
  for (const pick of picks) {
    pick.checked = chosen.has(pick.value);
    if (pick.checked) choose(pick);
  }
  const every = document.querySelector("[data-choose-all]");
  if (every) {
    every.checked = picks.length > 0 && picks.every((pick) => pick.checked);
    every.indeterminate = !every.checked && picks.some((pick) => pick.checked);
  }
  const [ids, all] = [[...chosen.keys()], [...chosen.values()]];
  there.toggleAttribute("data-own-any", chosen.size > 0);
  there.querySelector("[data-chosen]").textContent = say("jobs.chosen", { count: chosen.size });
  there.querySelector("[data-compare]").href = `/compare?ids=${ids.join(",")}`;
  there.querySelector("[data-compare]").hidden = ids.length < 2 || ids.length > 10 || all.some(({ kind }) => kind !== "fine_tuning_job");
  there.querySelector("[data-chosen-ids]").value = ids.join(",");
  for (const button of there.querySelectorAll("[data-where]")) {
    const states = button.dataset.where.split(" ");
    button.hidden = !all.some(({ state }) => states.includes(state));
  }
}

document.addEventListener("change", (event) => {
  const { target } = event;
  if (target.matches(".tb-pick")) choose(target);
  else if (target.matches("[data-choose-all]")) {
    for (const pick of document.querySelectorAll(".tb-pick")) {
      pick.checked = target.checked;
      choose(pick);
    }
  } else return;
  show();
});

// Before acting.js reads it: what is chosen becomes what the button asks for.
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-choose-none]")) {
    chosen.clear();
    show();
  }
  const button = event.target.closest("[data-bulk]");
  if (button) button.dataset.values = JSON.stringify({ ids: [...chosen.keys()] });
}, { capture: true });

document.addEventListener("input", (event) => {
  const form = event.target.closest("form");
  const place = form?.querySelector("[data-difference]");
  if (!place) return;
  const lines = [...form.querySelectorAll("[data-was]")]
    .filter((field) => field.value.trim() && field.value.trim() !== field.dataset.was)
    .map((field) => `${field.name.split(".").at(-1)} ${field.dataset.was} → ${field.value.trim()}`);
  place.dataset.same ??= place.textContent;
  place.textContent = lines.length ? lines.join(" · ") : place.dataset.same;
});

document.addEventListener("tunebus:changed", show);
