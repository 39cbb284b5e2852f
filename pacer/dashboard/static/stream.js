// The live connection. Read with fetch and not with EventSource, which keeps to itself what the server answers when it
// refuses, and does not notice a connection that has died without a word.

const SILENCE = 10_000; // milliseconds; the server says something about every second
const HIDDEN = 5_000; // a page that nobody sees is not read for
const FIRST_RETRY = 1_000;
const LAST_RETRY = 15_000;

// on.message(name, data), on.link(state, detail): "live", "lost", "away" (the server says why), "refused"
export class Live {
  #on;
  #job;
  #abort = null;
  #retry = FIRST_RETRY;
  #timer = null;
  #hiding = null;
  #hidden = false;

  // Of the queue, and of the job with this id; null for none.
  constructor(on, job) {
    this.#on = on;
    this.#job = job;
    document.addEventListener("visibilitychange", () => this.#seen());
    addEventListener("online", () => this.#again(0));
    this.#open();
  }

  // Which job the page shows, too; null for none.
  show(job) {
    if (job === this.#job) return;
    this.#job = job;
    this.#again(0);
  }

  #seen() {
    clearTimeout(this.#hiding);
    if (document.hidden) {
      this.#hiding = setTimeout(() => {
        this.#hidden = true;
        this.#close();
        this.#on.link("away", "Not updated while nobody sees the page.");
      }, HIDDEN);
    } else if (this.#hidden) {
      this.#hidden = false;
      this.#again(0);
    }
  }

  #close() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = null;
  }

  #again(delay) {
    if (this.#hidden) return;
    this.#close();
    if (delay) this.#timer = setTimeout(() => this.#open(), delay);
    else this.#open();
  }

  async #open() {
    const abort = (this.#abort = new AbortController());
    let silence;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort("silence"), SILENCE);
    };
    try {
      heard();
      const query = this.#job === null ? "" : `?job=${encodeURIComponent(this.#job)}`;
      const answer = await fetch(`data/live${query}`, { signal: abort.signal, redirect: "manual" });
      if (abort !== this.#abort) return;
      if (!answer.ok) return await this.#refused(answer);
      this.#retry = FIRST_RETRY;
      this.#on.link("live", answer.headers.get("date"));
      const renewed = await this.#read(answer.body, heard, abort);
      if (abort === this.#abort) renewed ? this.#again(0) : this.#lost();
    } catch {
      if (abort === this.#abort) this.#lost();
    } finally {
      clearTimeout(silence);
    }
  }

  // True if the server wants to be asked anew.
  async #read(body, heard, abort) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done || abort !== this.#abort) return false;
      heard();
      const blocks = (text + value).split(/\r\n\r\n|\n\n/);
      text = blocks.pop();
      for (const block of blocks) {
        const { name, data } = parsed(block);
        if (name === "again") return true;
        if (data) this.#on.message(name, JSON.parse(data));
      }
    }
  }

  async #refused(answer) {
    // A redirect leads to a page where people sign in; it is not for this script.
    if (answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 403) {
      this.#close();
      this.#on.link("refused", "You are not signed in any more. Reload the page.");
      return;
    }
    const problem = await answer.json().catch(() => ({}));
    this.#lost(typeof problem.detail === "string" ? problem.detail : "");
  }

  #lost(detail = "") {
    this.#on.link(detail ? "away" : "lost", detail);
    this.#again(this.#retry);
    this.#retry = Math.min(LAST_RETRY, this.#retry * 1.6);
  }
}

function parsed(block) {
  let name = "message";
  const data = [];
  for (const line of block.split(/\r\n|\n/)) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  return { name, data: data.join("\n") };
}
