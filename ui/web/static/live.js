// Keeps the parts of a page up to date by one timer, and tells other scripts when the studio changed.
// A part is an element with data-part; what it holds is replaced piece by piece, so that focus, selection, scrolling,
// open details and whatever stands in an element with data-keep stay as they are.

const TICK = 1000;
const LATE = 20000;
const ANSWERS = [200, 204, 401]; // the studio's own; any other is of something between it and here, or of its end

export const words = JSON.parse(document.getElementById("tb-words").textContent);

/** The words of a key, with values in place of its {placeholders}. */
export function say(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Every script of ours has run, in whatever order they came, so that each hears of the parts that are placed. */
const furnished = Promise.allSettled(
  [...document.querySelectorAll('script[type="module"][src^="/tunebus/"]')].map(({ src }) => import(src)),
);

let version = "";
let marks = {};
let build = "";
let looking = null;
const waiting = new Map(); // parts whose element is not there yet

/** Asks what changed since this page was last told, and shows it. `force` asks for everything of a new address. */
export async function look({ force = false } = {}) {
  if (force) version = "";
  else if (looking) return looking;
  looking = ask().finally(() => { looking = null; });
  return looking;
}

async function ask() {
  const address = window.location.pathname + window.location.search;
  try {
    const answer = await fetch(`/live${address}`, {
      headers: { "x-tunebus-seen": JSON.stringify({ version, marks }) },
      signal: AbortSignal.timeout(LATE),
    });
    if (address !== window.location.pathname + window.location.search) return; // asked for a page that was left
    reloadWhenBuiltAnew(answer.headers.get("x-tunebus-build"));
    if (answer.status === 401) window.location.reload();
    const news = answer.status === 200 ? await answer.json() : null;
    show("offline", !ANSWERS.includes(answer.status));
    if (!news) return;
    await furnished;
    version = news.version;
    Object.assign(marks, news.marks);
    for (const [name, html] of Object.entries(news.parts)) waiting.set(name, html);
    place();
    document.documentElement.dataset.version = version;
    document.dispatchEvent(new CustomEvent("tunebus:changed"));
  } catch (trouble) {
    if (trouble instanceof TypeError || trouble instanceof SyntaxError || trouble.name === "TimeoutError") show("offline", true);
    else throw trouble;
  }
}

/** Puts what came into the elements that are there. */
function place() {
  for (const [name, html] of waiting) {
    const part = document.querySelector(`[data-part="${CSS.escape(name)}"]`);
    if (!part) continue;
    waiting.delete(name);
    morph(part, html);
  }
}

/** Makes an element hold the given HTML, keeping every node that is in both. */
export function morph(element, html) {
  const wanted = document.createElement("template");
  wanted.innerHTML = html;
  children(element, wanted.content);
  adorn(element);
}

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.key || "" : "");

function same(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && keyOf(one) === keyOf(other);
}

function children(target, source) {
  const keyed = new Map();
  for (const child of target.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
  let at = target.firstChild;
  for (const wanted of [...source.childNodes]) {
    const key = keyOf(wanted);
    let found = key ? keyed.get(key) : at && !keyOf(at) && same(at, wanted) ? at : null;
    if (found && !same(found, wanted)) found = null;
    if (!found) target.insertBefore(wanted, at);
    else {
      if (found === at) at = at.nextSibling;
      else target.insertBefore(found, at);
      update(found, wanted);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function update(node, wanted) {
  if (node.nodeType !== Node.ELEMENT_NODE) {
    if (node.nodeValue !== wanted.nodeValue) node.nodeValue = wanted.nodeValue;
    return;
  }
  const own = node.nodeName === "DETAILS" || node.nodeName === "DIALOG" ? ["open"] : [];
  for (const { name } of [...node.attributes]) {
    if (!wanted.hasAttribute(name) && !own.includes(name) && !name.startsWith("data-own-")) node.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (!own.includes(name) && node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  if (node.matches("[data-keep], [data-load], time[data-ago], [data-since]")) return;
  if (node.nodeName === "TEXTAREA") return; // what a person typed stays
  children(node, wanted);
}

/** Fills in what depends on the clock, and fetches fragments that have an address of their own (data-load). */
function adorn(root) {
  clock(root);
  for (const element of root.querySelectorAll("[data-load]")) {
    const address = element.dataset.load;
    if (element.dataset.ownLoaded === address) continue;
    element.dataset.ownLoaded = address;
    load(element, address);
  }
}

async function load(element, address) {
  element.setAttribute("aria-busy", "true");
  let html = "";
  try {
    const answer = await fetch(address, { headers: { "x-tunebus-shown": "1" } });
    html = answer.ok ? await answer.text() : problem((await answer.json()).error);
  } catch {
    html = `<p class="tb-empty">${escape(say("failed"))}</p>`;
    setTimeout(() => { delete element.dataset.ownLoaded; }, 5000);
  }
  if (element.dataset.load !== address) return;
  element.removeAttribute("aria-busy");
  morph(element, html);
}

// Fields of the bus that no form of a person has: what is wrong is the file that was just chosen.
const NAMELESS = ["path", "upload"];

/** An error as the pages show it. */
export function problem(error) {
  const lines = (error.details ?? [error]).map(({ param, message, hint }) =>
    `<li>${param && !NAMELESS.includes(param) ? `<strong>${escape(param)}</strong>: ` : ""}${escape(message)}`
    + `${hint ? `<div class="tb-small">${escape(hint)}</div>` : ""}</li>`);
  return `<div class="tb-banner tb-banner-error" role="alert"><ul>${lines.join("")}</ul></div>`;
}

export function escape(text) {
  const element = document.createElement("span");
  element.textContent = String(text ?? "");
  return element.innerHTML.replace(/"/g, "&quot;");
}

function clock(root) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time[data-ago]")) write(time, ago((now - Date.parse(time.dateTime)) / 1000));
  for (const span of root.querySelectorAll("[data-since]")) write(span, duration((now - Date.parse(span.dataset.since)) / 1000));
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function ago(seconds) {
  if (seconds >= 86400) return say("ago.days", { n: Math.floor(seconds / 86400) });
  if (seconds >= 3600) return say("ago.hours", { n: Math.floor(seconds / 3600) });
  return seconds >= 60 ? say("ago.minutes", { n: Math.floor(seconds / 60) }) : say("ago.now");
}

/** Seconds as the pages say them: 45 s, 3 min 20 s, 2 h 5 min. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  return whole < 3600 ? `${Math.floor(whole / 60)} min ${whole % 60} s`
    : `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** Shows or takes away a standing notice. */
function show(key, wanted) {
  const id = `tb-standing-${key}`;
  const there = document.getElementById(id);
  if (!wanted) there?.remove();
  else if (!there) notice(say(key), { kind: "warning", id, stays: true });
}

/** Says something in the corner of the page; returns its element. What is no success stays until it is dismissed. */
export function notice(html, { kind = "success", id = "", stays = kind !== "success" } = {}) {
  let list = document.getElementById("tb-notices");
  if (!list) {
    list = document.createElement("div");
    list.id = "tb-notices";
    list.setAttribute("role", "status");
    list.setAttribute("aria-live", "polite");
    document.body.append(list);
  }
  const box = document.createElement("div");
  box.className = `tb-notice tb-banner tb-banner-${kind}`;
  if (id) box.id = id;
  box.innerHTML = `<div>${html}</div><button type="button" class="tb-dismiss" aria-label="${escape(say("dismiss"))}">×</button>`;
  box.querySelector("button").addEventListener("click", () => box.remove());
  list.append(box);
  if (!stays) setTimeout(() => box.remove(), 6000);
  return box;
}

/** A page that was loaded from another build of the studio may speak another language than what serves it now. */
function reloadWhenBuiltAnew(now) {
  if (!now) return;
  if (build && build !== now) window.location.reload();
  build = now;
}

const turn = async () => {
  if (!document.hidden) {
    clock(document);
    await look();
  }
  setTimeout(turn, TICK);
};

new MutationObserver(() => { if (waiting.size) place(); }).observe(document, { childList: true, subtree: true });
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
turn();
