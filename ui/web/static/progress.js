// What takes long says in its notice how far it is, each time its outcome is asked for: what is fetched, or looked into.

import { escape, say, words } from "./live.js";

document.addEventListener("tunebus:pending", async ({ detail: request }) => {
  let found;
  try {
    const answer = await fetch(`/data/progress?id=${encodeURIComponent(request.id)}`);
    if (!answer.ok) return;
    found = await answer.json();
  } catch {
    return;
  }
  const place = request.box?.isConnected && request.box.firstElementChild;
  if (!place || !found.phase) return;
  const phase = worded(`working.${found.phase.replace(" ", "_")}`, found.phase);
  const bar = found.total ? `<progress max="${Number(found.total)}" value="${Number(found.done)}" aria-label="${escape(phase)}"></progress>` : "";
  place.innerHTML = `<div>${escape(phase)} <span class="tb-small">${escape(amount(found))}</span></div>${bar}`
    + `<div class="tb-small">${escape(say("working.leave"))}</div>`;
});

/** The words of a key, or what there is where nobody has words for it yet. */
const worded = (key, otherwise) => (key in words ? say(key) : otherwise);

function amount({ done, total, unit }) {
  const write = (count) => (unit === "bytes" ? `${(count / 1e6).toFixed(1)} MB`
    : `${count.toLocaleString("en")} ${worded(`working.unit.${unit}`, unit ?? "")}`.trim());
  return total ? say("working.of", { done: write(done), total: write(total) }) : done ? write(done) : "";
}
