// Logs: <tb-log data-log='{"job", "attempt"}'> shows the end of what an attempt printed and appends what comes, by byte
// offset. Only the last lines are in the page. With a level or a text to find, the shown lines are filtered.

import { element } from "./charts.js";
import { say } from "./live.js";

const LINES = 2000;
const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"];

/** The level that a line speaks of; the place in LEVELS, or -1. */
export function levelOf(line) {
  if (/\b(CRITICAL|FATAL|ERROR|Traceback|[A-Z]\w*(Error|Exception):)/.test(line)) return 3;
  if (/\bWARN(ING)?\b|\w*Warning:/.test(line)) return 2;
  if (/\bINFO\b/.test(line)) return 1;
  return /\bDEBUG\b/.test(line) ? 0 : -1;
}

/** What a terminal would show of a line that was written over. */
export const overwritten = (line) => line.replace(/\r+$/, "").split("\r").at(-1);

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
    this.attempts = element("select", { onchange: () => this.begin(Number(this.attempts.value)) });
    this.level = element("select", { onchange: () => this.filter() },
      element("option", { value: -1 }, say("log.any")), ...LEVELS.slice(1).map((name, at) => element("option", { value: at + 1 }, say(`log.at.${name}`))));
    this.search = element("input", { type: "search", oninput: () => this.filter() });
    this.follow = element("input", { type: "checkbox", checked: true, onchange: () => this.scroll() });
    this.download = element("a", { class: "tb-button", download: true }, say("log.download"));
    this.words = element("p", { class: "tb-small", role: "status" });
    this.lines = element("div", { class: "tb-log-lines", role: "log", "aria-live": "off", "aria-label": say("log.title"), tabindex: 0 });
    this.lines.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = this.lines;
      if (this.follow.checked && scrollTop < this.at - 2) this.follow.checked = false; // scrolled up by a person
      else if (scrollHeight - scrollTop - clientHeight < 2 && scrollTop > this.at) this.follow.checked = true;
      this.at = scrollTop;
    });
    this.at = 0;
    this.attempt = labelled(say("log.attempt"), this.attempts);
    this.attempt.hidden = true;
    const bar = element("div", { class: "tb-log-bar" },
      labelled(say("log.search"), this.search), labelled(say("log.level_label"), this.level), this.attempt,
      element("label", { class: "tb-log-follow" }, this.follow, element("span", {}, say("log.follow"))), this.download);
    this.box = element("div", { class: "tb-log-box" }, bar, this.lines, this.words);
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
    this.next = null;
    this.rest = "";
    this.open = null;
    this.lines.replaceChildren();
    this.words.textContent = say("log.loading");
    this.read();
  }

  /** Fetches what was printed since the last time. */
  async read() {
    if (!this.inSight || this.reading === this.turn) return;
    const turn = this.reading = this.turn;
    try {
      const found = await this.ask(this.next === null ? {} : { offset: this.next });
      if (turn !== this.turn) return;
      this.list(found);
      const fresh = this.next === null || found.next_offset > this.next;
      this.next = found.next_offset;
      if (fresh) this.take(found.text);
      this.tell();
      if (found.text.length > 100000) setTimeout(() => this.read()); // there is more already
    } catch (trouble) {
      if (turn === this.turn) this.words.textContent = trouble.message;
    } finally {
      if (this.reading === turn) this.reading = null;
    }
  }

  async ask(more) {
    const question = new URLSearchParams({ job: this.job, ...(this.shown ? { attempt: this.shown } : {}), ...more });
    const answer = await fetch(`/data/log?${question}`);
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error.message);
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
    const pieces = (this.rest + text.replaceAll("\r\n", "\n")).split("\n");
    this.rest = pieces.pop();
    this.open?.remove();
    this.open = this.rest ? this.line(this.rest) : null;
    this.lines.append(...pieces.map((piece) => this.line(piece)), ...(this.open ? [this.open] : []));
    this.shorten();
    this.scroll();
  }

  line(text) {
    const shown = overwritten(text);
    const made = element("div", {}, shown || " ");
    const level = levelOf(shown);
    if (level >= 2) made.className = level === 3 ? "tb-log-error" : "tb-log-warning";
    made.hidden = !this.passes(shown, level);
    return made;
  }

  /** Lets go of what is far above; a person who reads there keeps it. */
  shorten() {
    if (!this.follow.checked) return;
    while (this.lines.childElementCount > LINES) this.lines.firstChild.remove();
  }

  passes(line, level) {
    const wanted = Number(this.level.value);
    return (wanted < 0 || level >= wanted) && line.toLowerCase().includes(this.search.value.toLowerCase());
  }

  filter() {
    for (const line of this.lines.children) line.hidden = !this.passes(line.textContent, levelOf(line.textContent));
    this.scroll();
    this.tell();
  }

  tell() {
    const all = this.lines.childElementCount;
    const shown = this.lines.querySelectorAll(":scope > :not([hidden])").length;
    if (!all) this.words.textContent = say("log.empty");
    else this.words.textContent = shown === all ? say("log.shown", { count: all }) : say("log.filtered", { count: shown, all });
  }

  scroll() {
    if (!this.follow.checked) return;
    this.lines.scrollTop = this.lines.scrollHeight;
    this.at = this.lines.scrollTop;
  }
}

customElements.define("tb-log", Log);
