/**
 * tieout.js: what a person wants is sent once, whatever is clicked twice, reloaded, opened in two tabs or cut off.
 *
 * An `Intent` is one thing that a person wants done. Its request id is made at the first click and written down before
 * anything is sent; every try has that id, in this tab or another, before and after a reload, until the final answer is
 * there. Lost answers are no failures: the same request is sent again. A page needs this file alone, and no inline script.
 *
 *     const redeem = new Intent(`redeem/${user}`, { url: "/redeem" });
 *     redeem.addEventListener("change", () => show(redeem.view));
 *     redeem.attach(document.querySelector("form"));
 */

const PREFIX = "tieout:";

/** Seconds. `wait` is asked of the server, `valid` and `keep` are counted from the click and from the end. */
const DEFAULTS = {
  headers: {},
  credentials: "same-origin",
  events: null,
  wait: 10,
  timeout: 15,
  valid: 3600,
  keep: 600,
};

const FIRST_PAUSE = 0.5;
const LONGEST_PAUSE = 30;
const LONGEST_RETRY_AFTER = 300;
const LONGEST_POLL = 5;
const POLL_BESIDE_HINTS = 15;
const POLL_WHILE_HELD = 30;

/** Records in these states are not settled: their id must not be forgotten. */
const UNSETTLED = new Set(["open", "held", "stopped"]);

/** Views in which nothing more is going to happen by itself, or only when a person has decided. */
const AT_REST = new Set(["done", "refused", "stopped", "held"]);

const BUSY = new Set(["sending", "waiting", "retrying"]);

/** Views in which another click does nothing. After `done` a changed or emptied form begins the next intent. */
const HOLDING = new Set([...BUSY, "held", "done"]);

const MEANINGS = {
  "params-changed": "Something else is under way, and what becomes of it is not known yet.",
  interrupted: "This was begun some time ago, and what became of it is not known.",
  redirected: "The server wants something else first, such as a log-in.",
  failed: "The page could not go on.",
};

/**
 * One thing that a person wants done, named so that every tab of this origin knows it again.
 *
 * options.url          where it is sent, by POST, as JSON, with an `Idempotency-Key`
 * options.headers      more header fields, or a function that returns them, also later
 * options.credentials  as for `fetch`
 * options.events       address of server-sent hints, such as `/v1/events?topics=process`; without: polling alone
 * options.storage      where ids are kept: `localStorage`; with `sessionStorage` each tab has intents of its own
 * options.wait         seconds that the server is asked to wait for the final answer, by `Prefer`
 * options.timeout      seconds that an answer may take beyond that, before the same request is sent again
 * options.valid        seconds after which a reload does not send by itself any more what is still open
 * options.keep         seconds for which a settled intent is shown again after a reload
 *
 * It fires `change` whenever `view` has changed.
 */
export class Intent extends EventTarget {
  #options;
  #storage;
  #isShared;
  #key;
  #view;
  #unstored = null;
  #driving = null;
  #wanted;
  #isLeading = false;
  #isListening = false;
  #isHinted = false;
  #wakes = new EventTarget();
  #closing = new AbortController();

  constructor(name, options) {
    super();
    if (!name || !options?.url) throw new TypeError("an Intent has a name, and a url that it is sent to");
    this.#options = { ...DEFAULTS, ...options };
    this.#storage = options.storage ?? storageOfThePage();
    this.#isShared = this.#storage === storageOfThePage();
    this.#key = PREFIX + name;
    this.#view = viewOf(this.#read());
    const { signal } = this.#closing;
    addEventListener("storage", (event) => event.key === this.#key && this.resume(), { signal });
    addEventListener("pageshow", (event) => event.persisted && this.resume(), { signal });
    addEventListener("online", () => this.#wake("online"), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.#wake("hint"), { signal });
    queueMicrotask(() => this.resume());
  }

  /**
   * How it stands: `{state, id, params, answer, problem, reason, retryIn, tries}`.
   *
   * idle      nothing is under way
   * sending   it is being sent
   * waiting   it was accepted, and is not final; `answer` is what the server said last
   * retrying  an answer was lost, or the server cannot answer now (`reason`): sent again in `retryIn` seconds
   * held      it was accepted, and a person of the server's decides
   * done      final: `answer`
   * refused   final: nothing was done; `problem` says why, by its `code`
   * stopped   what became of it is not known, and only a person can go on, for instance by logging in: submit it again
   */
  get view() {
    return this.#view;
  }

  /**
   * Have it done, once; resolve with the view when nothing more happens by itself. It does not reject.
   *
   * While it is open, the same again is the same; other params are `refused` with the code `params-changed`, and what is
   * open goes on. When it is done, the same again is given the same answer, until `renew`.
   */
  submit(params = {}) {
    const known = this.#read();
    const isBeginning = this.#wanted !== undefined;
    const isOpen = isBeginning || isUnsettled(known);
    if (isOpen && !isSame(isBeginning ? this.#wanted : known.params, params)) return Promise.resolve(this.#clash(params));
    if (known?.state === "done" && isSame(known.params, params)) return Promise.resolve(this.#view);
    if (!isBeginning && (this.#driving === null || !isUnderWay(known))) {
      this.#wanted = params;
      this.#show({ ...viewOf(null), state: "sending", params });
      this.#drive((found) => this.#begun(found, params, known?.id));
    }
    return this.#restful();
  }

  /** Go on with what is open, after a reload or in another tab; nothing else happens. */
  resume() {
    if (this.#isLeading) return;
    const record = this.#read();
    if (record === null && this.#wanted !== undefined) return;
    this.#show(viewOf(record));
    if (this.#driving !== null || !isUnderWay(record)) return;
    this.#drive((found) => {
      this.#show(viewOf(found));
      return found;
    });
  }

  /** The next click is another intent; false while this one is not settled. */
  renew() {
    if (this.#wanted !== undefined || isUnsettled(this.#read())) return false;
    this.#forget();
    return true;
  }

  /** Forget what is `stopped`, although it may have been done: only when the person says so. */
  abandon() {
    if (this.#view.state !== "stopped") return false;
    this.#forget();
    return true;
  }

  /** Stop sending, following and listening here; what is open stays open for the next page or tab. */
  close() {
    this.#closing.abort();
    this.#wake("close");
  }

  /**
   * Submit a form through this intent, and hold its buttons while a click would do nothing.
   *
   * They are marked by `aria-disabled`, so that they keep the focus; the form has `aria-busy`. Params are the form's fields
   * unless `read` makes others of them. A change of the form after the end begins the next intent, as does a reset.
   */
  attach(form, read = (from) => Object.fromEntries(new FormData(from))) {
    const { signal } = this.#closing;
    const submit = (event) => {
      event.preventDefault();
      if (!HOLDING.has(this.#view.state)) this.submit(read(form));
    };
    const hold = () => {
      form.setAttribute("aria-busy", String(BUSY.has(this.#view.state)));
      for (const one of form.elements) {
        if (one.type === "submit") one.setAttribute("aria-disabled", String(HOLDING.has(this.#view.state)));
      }
    };
    form.addEventListener("submit", submit, { signal });
    form.addEventListener("input", () => this.renew(), { signal });
    form.addEventListener("reset", () => this.renew(), { signal });
    this.addEventListener("change", hold, { signal });
    hold();
  }

  /** One tab at a time sends and follows; when it goes away, the next one goes on from what is written down. */
  #drive(begin) {
    const { signal } = this.#closing;
    const work = async () => {
      this.#isLeading = true;
      try {
        const record = begin(this.#read());
        if (record !== null) await this.#settle(record);
      } finally {
        this.#isLeading = false;
      }
    };
    const ended = (error = null) => {
      if (this.#driving === run) this.#driving = null;
      if (signal.aborted) return;
      if (error === null) this.resume();
      else this.#show({ ...this.#view, state: "stopped", problem: problemOf("failed", error) });
    };
    const isAlone = !this.#isShared || !navigator.locks; // then two tabs may both send the one id: no harm is done
    const run = isAlone ? work() : navigator.locks.request(this.#key, { signal }, work);
    this.#driving = run;
    run.then(() => ended(), ended);
  }

  /** The record to go on with, made now where there is none: `before` is what the person saw when clicking. */
  #begun(found, params, before) {
    this.#wanted = undefined;
    const isOther = found !== null && !isSame(found.params, params);
    if (isOther && (isUnsettled(found) || found.id !== before)) {
      this.#clash(params);
      return null;
    }
    if (found !== null && !isOther && found.state !== "refused") {
      return found.state === "done" ? this.#show(viewOf(found)) : this.#write({ ...found, at: Date.now(), state: "open", problem: null });
    }
    return this.#write({ id: newId(), params, at: Date.now(), state: "open", location: null });
  }

  /** Ask until it is settled, or nobody is there any more who wants to know. */
  async #settle(record) {
    const hints = new AbortController();
    let [now, tries, polls] = [record, 0, 0];
    try {
      while (!this.#closing.signal.aborted && isUnderWay(now)) {
        this.#show({ ...viewOf(now), state: now.state === "held" ? "held" : now.location ? "waiting" : "sending", tries });
        const began = performance.now();
        const verdict = await this.#asked(now);
        if (this.#closing.signal.aborted) return;
        if (verdict.then === "again") {
          now = verdict.isLost ? this.#write({ ...now, location: null }) : now;
          const pause = Math.max(backOff(tries++), verdict.after);
          this.#show({ ...viewOf(now), state: "retrying", reason: verdict.reason, problem: verdict.problem, retryIn: pause, tries });
          await this.#pause(pause, "online");
          continue;
        }
        now = this.#write(advanced(now, verdict));
        [tries, polls] = [0, polls + 1];
        if (verdict.then !== "follow") return;
        if (this.#options.events && polls === 1) this.#listen(now.answer?.id, hints.signal);
        await this.#pause(this.#untilNextLook(now, verdict, performance.now() - began, polls), "hint");
      }
    } finally {
      hints.abort();
    }
  }

  #untilNextLook(record, verdict, took, polls) {
    const pauses = [verdict.after];
    if (took >= 1_000 && !this.#isListening) pauses.push(0.1); // the server has waited for us
    else pauses.push(Math.min(FIRST_PAUSE * 1.5 ** polls, LONGEST_POLL));
    if (this.#isListening) pauses.push(POLL_BESIDE_HINTS);
    if (record.state === "held") pauses.push(POLL_WHILE_HELD);
    return Math.max(...pauses);
  }

  /** Send the request, or look where it was said to be; what the answer means. */
  async #asked(record) {
    const { url, headers, credentials, wait, timeout } = this.#options;
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), 1_000 * (wait + timeout));
    const stop = () => limit.abort();
    this.#closing.signal.addEventListener("abort", stop);
    try {
      const more = typeof headers === "function" ? await headers() : headers;
      const patience = this.#isListening ? {} : { Prefer: `wait=${wait}` };
      const asked = record.location
        ? { method: "GET", headers: { Accept: "application/json", ...patience, ...more } }
        : { method: "POST", body: JSON.stringify(record.params), headers: { ...sent(record), ...patience, ...more } };
      const response = await fetch(record.location ?? url, {
        ...asked,
        credentials,
        cache: "no-store",
        redirect: "manual",
        signal: limit.signal,
      });
      return judge(response, parsed(await response.text()), record.location !== null);
    } catch (error) {
      return again(navigator.onLine ? "network" : "offline", 0, problemOf("failed", error));
    } finally {
      clearTimeout(timer);
      this.#closing.signal.removeEventListener("abort", stop);
    }
  }

  /** Hear of what changes, as long as that works; looking now and then goes on beside it. */
  async #listen(id, signal) {
    const { events, headers, credentials } = this.#options;
    for (let tries = 0; id && !signal.aborted; tries += 1) {
      try {
        const more = typeof headers === "function" ? await headers() : headers;
        const response = await fetch(events, { headers: more, credentials, cache: "no-store", signal });
        if (response.status >= 400 && response.status < 500 && response.status !== 429) return;
        this.#isListening = response.ok;
        if (response.ok) this.#wake("hint"); // it may have moved before we listened
        for await (const hint of hintsIn(response)) {
          tries = 0;
          if (hint?.id === id || hint?.dropped) this.#wake("hint");
        }
      } catch {
        // a connection that breaks is made anew; nothing rests on it
      }
      this.#isListening = false;
      await sleep(backOff(tries), signal);
    }
  }

  #wake(why) {
    this.#isHinted ||= why === "hint";
    this.#wakes.dispatchEvent(new Event(why));
  }

  async #pause(seconds, waker) {
    if (!(waker === "hint" && this.#isHinted)) await sleep(seconds, null, this.#wakes, [waker, "close"]);
    this.#isHinted = false;
  }

  #restful() {
    return new Promise((resolve) => {
      const look = () => {
        if (!AT_REST.has(this.#view.state)) return;
        this.removeEventListener("change", look);
        resolve(this.#view);
      };
      this.addEventListener("change", look);
      look();
    });
  }

  #clash(params) {
    const problem = problemOf("params-changed");
    const refused = { ...viewOf(null), state: "refused", params, problem };
    const isOurs = this.#view.state === "sending" && isSame(this.#view.params, params);
    this.#show(isOurs ? refused : { ...this.#view, problem });
    return refused;
  }

  #show(view) {
    if (JSON.stringify(view) === JSON.stringify(this.#view)) return null;
    this.#view = Object.freeze(view);
    this.dispatchEvent(new Event("change"));
    return null;
  }

  #read() {
    let text = this.#unstored;
    try {
      text ??= this.#storage.getItem(this.#key);
    } catch {
      // a browser that keeps nothing: what this page knows is all there is
    }
    const record = parsed(text ?? "");
    if (typeof record?.id !== "string") return null;
    const age = (Date.now() - (record.ended ?? record.at)) / 1_000;
    if (record.ended) return age > this.#options.keep ? null : record;
    const isOld = record.state === "open" && record.location === null && age > this.#options.valid;
    return isOld ? { ...record, state: "stopped", problem: problemOf("interrupted") } : record;
  }

  #write(record) {
    const text = JSON.stringify(record);
    try {
      this.#storage.setItem(this.#key, text);
      this.#unstored = null;
    } catch {
      this.#unstored = text;
    }
    this.#show(viewOf(record));
    return record;
  }

  #forget() {
    this.#unstored = null;
    try {
      this.#storage.removeItem(this.#key);
    } catch {
      // it was not kept
    }
    this.#show(viewOf(null));
  }
}

/**
 * What an answer means, by its status and body: `{then: "done" | "follow" | "refused" | "stopped" | "again", …}`.
 *
 * Whatever is not clear is asked for again with the same id. `isFollowing`: we did not send, but look where it is.
 */
export function judge(response, body, isFollowing = false) {
  const { status } = response;
  const after = retryAfter(response.headers.get("Retry-After"));
  const problem = { code: `http-${status}`, title: "", detail: "", ...(isObject(body) ? body : {}), status };
  if (status === 0 || (status >= 300 && status < 400)) return { then: "stopped", problem: problemOf("redirected") };
  if (status >= 200 && status < 300) return accepted(response, body, after);
  if (status === 404 && isFollowing) return { ...again("lost", after, problem), isLost: true };
  const isInFlight = status === 409 && (problem.code === "in-flight" || problem.code === "http-409");
  if (isInFlight || status >= 500 || [408, 425, 429].includes(status)) return again("busy", after, problem);
  return { then: [401, 403, 404, 405, 407].includes(status) ? "stopped" : "refused", problem };
}

function accepted(response, body, after) {
  if (response.status === 204) return { then: "done", answer: null };
  if (body === undefined) return again("unclear", after, problemOf("failed", "the answer is not JSON"));
  const status = isObject(body) ? body.status : undefined;
  const isOpen = response.status === 202 || status === "running" || status === "held";
  if (!isOpen) return { then: "done", answer: body };
  return { then: "follow", answer: body, after, isHeld: status === "held", location: locationOf(response) };
}

/** Where the process is, if that is on the same host: our header fields are nobody else's business. */
function locationOf(response) {
  const told = response.headers.get("Location");
  const at = told && URL.canParse(told, response.url) ? new URL(told, response.url) : null;
  return at?.origin === new URL(response.url).origin ? at.href : null;
}

function advanced(record, verdict) {
  const { answer = null, problem = null } = verdict;
  if (verdict.then === "stopped") return { ...record, state: "stopped", problem };
  if (verdict.then !== "follow") return { ...record, state: verdict.then, answer, problem, ended: Date.now() };
  const location = verdict.location ?? record.location;
  return { ...record, state: verdict.isHeld ? "held" : "open", answer, location, problem };
}

function viewOf(record) {
  const state = record?.state === "open" ? (record.location ? "waiting" : "sending") : (record?.state ?? "idle");
  const { id = null, params = null, answer = null, problem = null } = record ?? {};
  return { state, id, params, answer, problem, reason: null, retryIn: null, tries: 0 };
}

function again(reason, after, problem) {
  return { then: "again", reason, after, problem };
}

function problemOf(code, cause = null) {
  return { code, title: MEANINGS[code], detail: cause === null ? MEANINGS[code] : String(cause), status: 0 };
}

function sent(record) {
  return {
    Accept: "application/json, application/problem+json",
    "Content-Type": "application/json",
    "Idempotency-Key": `"${record.id}"`,
  };
}

function isUnsettled(record) {
  return record !== null && UNSETTLED.has(record.state);
}

/** Whether it goes on by itself, in this tab or another. */
function isUnderWay(record) {
  return record?.state === "open" || record?.state === "held";
}

function isSame(one, other) {
  return canonical(one) === canonical(other);
}

/** JSON with the names of every object in order. */
function canonical(value) {
  const ordered = (_, part) => (isObject(part) ? Object.fromEntries(Object.entries(part).sort()) : part);
  return JSON.stringify(value ?? null, ordered);
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID is not there without TLS
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Seconds, half of them by chance, so that pages which lost one server do not come back all at once. */
function backOff(tries) {
  return Math.min(FIRST_PAUSE * 2 ** tries, LONGEST_PAUSE) * (0.5 + Math.random() / 2);
}

function retryAfter(field) {
  const seconds = /^\d+$/.test(field ?? "") ? Number(field) : (Date.parse(field ?? "") - Date.now()) / 1_000;
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), LONGEST_RETRY_AFTER) : 0;
}

/** Wait for so long, or until it is stopped, or `wakes` fires one of these events. */
function sleep(seconds, signal, wakes = null, names = []) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      for (const name of names) wakes.removeEventListener(name, done);
      resolve();
    };
    const timer = setTimeout(done, 1_000 * seconds);
    signal?.addEventListener("abort", done);
    for (const name of names) wakes.addEventListener(name, done);
    if (signal?.aborted) done();
  });
}

function storageOfThePage() {
  try {
    return localStorage;
  } catch {
    return null; // reading and writing fail then, and what this page knows is all there is
  }
}

async function* hintsIn(response) {
  if (!response.ok || !response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split(/\r?\n\r?\n/);
    rest = events.pop();
    for (const event of events) yield parsed(/^data: ?(.*)$/m.exec(event)?.[1] ?? "");
  }
}
