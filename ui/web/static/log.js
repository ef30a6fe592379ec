// Logs: <tb-log data-log='{"job", "attempt"}'> shows the end of what an attempt printed and appends what comes, by byte
// offset. The page holds the last lines only; earlier ones come when asked for. What is looked for, a text or a level,
// is looked for in all of it by the studio, and meanwhile in what is shown.

import { element } from "./charts.js";
import { say } from "./live.js";

const LINES = 2000;
const MOST = 20000; // lines that a person may have asked for
const CHUNK = 200000; // bytes
const FOUND = 1000; // lines of a search
const TYPING = 250;
const LEVELS = ["INFO", "WARNING", "ERROR"];

/** The level that a line names, and whether a traceback goes on after it. */
export function levelOf(line, within = false) {
  if (line.startsWith("Traceback (most recent call last):")) return ["ERROR", true];
  if (within) return ["ERROR", line === "" || /^\s/.test(line)];
  const found = /\b(DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b|\b\w*?(Warning|Error|Exception)\b: /.exec(line.slice(0, 200));
  if (!found) return ["", false];
  const word = (found[1] ?? found[2]).toUpperCase();
  return [word.startsWith("WARN") ? "WARNING" : ["INFO", "DEBUG"].includes(word) ? word : "ERROR", false];
}

/** What a terminal would show of a line that was written over. */
export const overwritten = (line) => line.replace(/\r+$/, "").split("\r").at(-1);

const bytes = (text) => new TextEncoder().encode(text).length;

class Log extends HTMLElement {
  static observedAttributes = ["data-log"];

  connectedCallback() {
    if (this.box) return;
    this.furnish();
    this.onChange = () => this.read();
    document.addEventListener("tunebus:changed", this.onChange);
    this.sight = new IntersectionObserver((entries) => {
      this.inSight = entries.at(-1).isIntersecting;
      if (this.inSight) this.read();
    });
    this.sight.observe(this.box);
    this.given();
  }

  disconnectedCallback() {
    queueMicrotask(() => {
      if (this.isConnected || !this.box) return;
      document.removeEventListener("tunebus:changed", this.onChange);
      this.sight.disconnect();
      this.box.remove();
      this.box = null;
    });
  }

  attributeChangedCallback() {
    if (this.box) this.given();
  }

  furnish() {
    const labelled = (words, field) => element("label", { class: "tb-log-field" }, element("span", {}, words), field);
    const options = ["", ...LEVELS].map((name) => element("option", { value: name }, say(`log.at.${name || "any"}`)));
    this.attempts = element("select", { onchange: () => this.begin(Number(this.attempts.value)) });
    this.level = element("select", { onchange: () => this.look() }, ...options);
    this.text = element("input", { type: "search", maxlength: 500, oninput: () => this.look() });
    this.follow = element("input", { type: "checkbox", checked: true, onchange: () => this.scroll() });
    this.download = element("a", { class: "tb-button", download: true }, say("log.download"));
    this.earlier = element("button", { type: "button", class: "tb-button tb-quiet", onclick: () => this.back() }, say("log.earlier"));
    this.words = element("p", { class: "tb-small", role: "status" });
    this.lines = element("div", { class: "tb-log-lines", role: "log", "aria-live": "off", "aria-label": say("log.title"), tabindex: 0 });
    this.lines.addEventListener("scroll", () => this.scrolled());
    this.at = 0;
    this.attempt = labelled(say("log.attempt"), this.attempts);
    this.attempt.hidden = this.earlier.hidden = true;
    const follow = element("label", { class: "tb-log-follow" }, this.follow, element("span", {}, say("log.follow")));
    const bar = element("div", { class: "tb-log-bar" }, labelled(say("log.search"), this.text), labelled(say("log.level"), this.level), this.attempt, follow, this.download);
    this.box = element("div", { class: "tb-log-box" }, bar, this.earlier, this.lines, this.words);
    this.append(this.box);
  }

  given() {
    const wanted = JSON.parse(this.dataset.log);
    if (this.job === wanted.job && this.asked === wanted.attempt) return;
    this.job = wanted.job;
    this.asked = wanted.attempt;
    this.begin(wanted.attempt);
  }

  /** Shows an attempt from its end on; the newest one when none is named. */
  begin(attempt) {
    this.shown = attempt;
    this.turn = Symbol("turn"); // answers to an earlier turn are not for this one
    this.reading = null;
    this.first = this.next = null; // the bytes that the kept lines begin at, and where to go on
    this.kept = []; // the lines themselves, oldest first
    this.rest = ""; // what came of a line that is not whole yet
    this.within = false;
    this.lines.replaceChildren();
    this.words.textContent = say("log.loading");
    this.look({ now: true });
    this.read();
  }

  get searching() {
    return this.text.value !== "" || this.level.value !== "";
  }

  /** Fetches what was printed since the last time. */
  async read() {
    if (!this.inSight || this.reading) return;
    const turn = this.reading = this.turn;
    try {
      const found = await this.ask("log", this.next === null ? {} : { offset: this.next });
      if (turn !== this.turn) return;
      this.list(found);
      const came = found.text !== "";
      let text = found.text;
      if (this.first === null) {
        const cut = found.offset > 0 ? text.indexOf("\n") + 1 : 0; // not the end of a line
        this.first = found.offset + bytes(text.slice(0, cut));
        text = text.slice(cut);
      }
      this.next = found.next_offset;
      if (came) this.take(text);
      if (came && this.searching) this.find();
      this.tell();
      if (came && found.text.length > CHUNK / 4) setTimeout(() => this.read()); // there may be more already
    } catch (trouble) {
      if (turn === this.turn) this.words.textContent = trouble.message;
    } finally {
      if (this.reading === turn) this.reading = null;
    }
  }

  async ask(name, more) {
    const question = new URLSearchParams({ job: this.job, ...(this.shown ? { attempt: this.shown } : {}), ...more });
    const answer = await fetch(`/data/${name}?${question}`);
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error.message);
    if (found.gone) throw new Error(found.gone);
    return found;
  }

  /** The attempts there are, and the address of the whole text. */
  list({ attempts, attempt }) {
    this.attempt.hidden = attempts.length < 2;
    if (this.attempts.options.length !== attempts.length) {
      this.attempts.replaceChildren(...attempts.map((number) => element("option", { value: number }, number)));
    }
    this.shown ??= attempt;
    if (attempt !== null) this.attempts.value = attempt;
    this.download.href = `/download/log?${new URLSearchParams({ job: this.job, ...(attempt ? { attempt } : {}) })}`;
  }

  take(text) {
    const pieces = (this.rest + text).split("\n");
    this.rest = pieces.pop();
    const fresh = this.told(pieces);
    this.kept.push(...fresh);
    if (!this.searching) {
      this.open?.remove();
      const [open] = this.rest ? this.told([this.rest], { passing: true }) : [];
      this.open = open ? this.line(open) : null;
      this.lines.append(...fresh.map((one) => this.line(one)), ...(this.open ? [this.open] : []));
      this.shorten();
      this.scroll();
    }
  }

  /** Lines with their levels. */
  told(pieces, { passing = false } = {}) {
    let within = this.within;
    const found = pieces.map((piece) => {
      const line = overwritten(piece);
      const [level, more] = levelOf(line, within);
      within = more;
      return { line, level, size: bytes(piece) + 1 };
    });
    if (!passing) this.within = within;
    return found;
  }

  line({ line, level }) {
    const made = element("div", { class: { ERROR: "tb-log-error", WARNING: "tb-log-warning" }[level] ?? null });
    const sought = this.text.value.toLowerCase();
    let rest = line;
    for (let at = sought ? rest.toLowerCase().indexOf(sought) : -1; at >= 0; at = rest.toLowerCase().indexOf(sought)) {
      made.append(rest.slice(0, at), element("mark", {}, rest.slice(at, at + sought.length)));
      rest = rest.slice(at + sought.length);
    }
    made.append(rest || "​");
    return made;
  }

  /** Lets go of what is far above; who reads there keeps it. */
  shorten() {
    const most = this.follow.checked ? LINES : MOST;
    const over = this.kept.length - most;
    if (over <= 0) return;
    for (const { size } of this.kept.splice(0, over)) this.first += size;
    for (let number = 0; number < over; number += 1) this.lines.firstChild?.remove();
  }

  /** Fetches what comes before the first line that is kept. */
  async back() {
    const turn = this.turn;
    const begin = Math.max(0, this.first - CHUNK);
    const { text } = await this.ask("log", { offset: begin, limit: Math.max(1, this.first - begin) });
    if (turn !== this.turn || this.searching) return;
    const cut = begin > 0 ? text.indexOf("\n") + 1 : 0;
    const pieces = text.slice(cut).split("\n").slice(0, -1);
    const fresh = this.told(pieces, { passing: true });
    this.follow.checked = false;
    this.first = begin + bytes(text.slice(0, cut));
    this.kept.unshift(...fresh);
    const below = this.lines.scrollHeight - this.lines.scrollTop;
    this.lines.prepend(...fresh.map((one) => this.line(one)));
    this.lines.scrollTop = this.at = this.lines.scrollHeight - below;
    this.tell();
  }

  /** A text or a level is looked for, or no longer. */
  look({ now = false } = {}) {
    clearTimeout(this.typing);
    this.hits = new Map();
    this.sought = 0;
    this.search = null;
    this.draw();
    if (this.searching) this.typing = setTimeout(() => this.find(), now ? 0 : TYPING);
  }

  /** Asks the studio for lines of the whole output, and of what has come since. */
  async find() {
    if (this.search || this.hits.size >= FOUND) return;
    const search = this.search = Symbol("search");
    const end = Math.max(0, (this.next ?? 0) - bytes(this.rest));
    try {
      for (let after = this.sought; after !== null && this.hits.size < FOUND;) {
        const more = { after, ...(this.text.value ? { text: this.text.value } : {}), ...(this.level.value ? { level: this.level.value } : {}) };
        const found = await this.ask("log-search", more);
        if (search !== this.search) return;
        for (const { offset, level, text } of found.items) this.hits.set(offset, { line: overwritten(text), level });
        after = found.next;
        this.all = after === null;
        this.draw();
      }
      this.sought = Math.max(this.sought, end);
    } catch (trouble) {
      if (search === this.search) this.words.textContent = trouble.message;
    } finally {
      if (search === this.search) this.search = null;
    }
  }

  /** Puts all lines into the page anew: those that are kept, or those that are found. */
  draw() {
    this.open = null;
    const found = this.hits.size || this.all ? [...this.hits.values()] : this.kept.filter((one) => this.passes(one));
    const shown = this.searching ? found : this.kept;
    this.lines.replaceChildren(...shown.map((one) => this.line(one)));
    this.scroll();
    this.tell();
  }

  passes({ line, level }) {
    const wanted = LEVELS.indexOf(this.level.value);
    return LEVELS.indexOf(level) >= wanted && line.toLowerCase().includes(this.text.value.toLowerCase());
  }

  tell() {
    const count = this.lines.childElementCount;
    this.earlier.hidden = this.searching || !(this.first > 0) || count >= MOST;
    if (this.searching) this.words.textContent = say(this.hits.size >= FOUND ? "log.found_more" : "log.found", { count });
    else if (this.next === null) this.words.textContent = say("log.loading");
    else this.words.textContent = count ? say(this.first > 0 ? "log.last" : "log.whole", { count }) : say("log.empty");
  }

  scroll() {
    if (!this.follow.checked) return;
    this.lines.scrollTop = this.lines.scrollHeight;
    this.at = this.lines.scrollTop;
  }

  /** Scrolling up stops following, scrolling to the end goes on with it. */
  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.lines;
    if (this.follow.checked && scrollTop < this.at - 2) this.follow.checked = false;
    else if (scrollTop > this.at && scrollHeight - scrollTop - clientHeight < 2) this.follow.checked = true;
    this.at = scrollTop;
  }
}

customElements.define("tb-log", Log);
