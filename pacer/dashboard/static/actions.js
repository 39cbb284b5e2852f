// What a person does: a request, a question before it where it cannot be undone, and a word on what came of it.

import { byId, el, said, setText } from "./dom.js";

const root = document.documentElement;
const token = document.querySelector("meta[name=pacer-token]").content;

export const steerable = root.dataset.steerable === "true";
export const argumentsShown = root.dataset.arguments === "true";

// Data from the server; an error's message is a sentence for people.
export async function load(path, parameters = {}) {
  return request(`data/${path}?${new URLSearchParams(parameters)}`, {});
}

async function send(action, body) {
  const headers = { "Content-Type": "application/json", "X-Pacer-Token": token };
  return request(`actions/${action}`, { method: "POST", headers, body: JSON.stringify(body) });
}

async function request(address, options) {
  let answer;
  try {
    answer = await fetch(address, { redirect: "manual", ...options });
  } catch {
    throw new Error("The server does not answer.");
  }
  if (answer.type === "opaqueredirect" || answer.status === 401) {
    throw new Error("You are not signed in any more. Reload the page.");
  }
  if (answer.status === 204) return null;
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  throw new Error(typeof body.detail === "string" ? body.detail : `The server answered ${answer.status}.`);
}

// Do it, and say what came of it. True if it was done.
export async function act(action, body, done) {
  try {
    const answer = await send(action, body);
    notice("done", typeof done === "function" ? done(answer) : done);
    return true;
  } catch (error) {
    notice("problem", error.message);
    return false;
  }
}

// An action's button: it cannot be pressed twice while the first is on its way.
export function actionButton(text, name, run, properties = {}) {
  const button = el("button", { type: "button", "aria-label": name === text ? null : name, ...properties }, text);
  button.addEventListener("click", () => once(button, run));
  return button;
}

export async function once(button, run) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    await run();
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

// Ask; true for yes. Escape is no, and no has the focus.
export function ask({ title, text, yes, no }) {
  const dialog = byId("ask");
  setText(byId("ask-title"), title);
  byId("ask-text").replaceChildren(...(Array.isArray(text) ? text : [text]));
  setText(byId("ask-yes"), yes);
  setText(byId("ask-no"), no);
  dialog.returnValue = "no";
  dialog.showModal();
  byId("ask-no").focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

export function notice(kind, text) {
  const close = el("button", { type: "button", class: "quiet", "aria-label": "Dismiss" }, "×");
  const box = el("div", { class: "notice", "data-kind": kind, role: kind === "problem" ? "alert" : "status" });
  byId("notices").append(box);
  box.append(said(text), close); // after it is there, so that it is heard
  close.addEventListener("click", () => box.remove());
  if (kind === "done") setTimeout(() => box.remove(), 6000);
  while (byId("notices").childElementCount > 4) byId("notices").firstElementChild.remove();
}

export async function cancelJob(job) {
  const yes = await ask({
    title: job.state === "running" ? "Stop this job?" : "Cancel this job?",
    text: [
      said(job.id, { class: "id" }),
      job.state === "running" ? " is running. What it has done so far is lost." : " leaves the queue and is not run.",
    ],
    yes: "Cancel job",
    no: "Keep it",
  });
  return yes && act("cancel", { id: job.id }, `Job ${job.id} is cancelled.`);
}

export async function endHold() {
  const yes = await ask({
    title: "End this hold now?",
    text: "Jobs start again at once, at the queue's pace. If the upstream still does not work, the queue is held again.",
    yes: "End hold",
    no: "Keep it",
  });
  return yes && act("end-hold", {}, "The hold is over: jobs start again.");
}

export const retryJob = (job) => act("retry", { id: job.id }, `Job ${job.id} waits again.`);

export async function retryAll(state, number) {
  const yes = await ask({
    title: `Re-run all ${state} jobs?`,
    text: `${number} are kept. They are enqueued again, the queue's room permitting, and run at its pace.`,
    yes: "Re-run all",
    no: "Leave them",
  });
  return yes && act("retry-all", { state }, retried);
}

function retried({ count, refused }) {
  const reasons = Object.entries(refused);
  const some = count === 1 ? "1 job waits again." : `${count} jobs wait again.`;
  if (!reasons.length) return some;
  const [id, reason] = reasons[0];
  return `${some} ${reasons.length} could not be run again, such as ${id}: ${reason}.`;
}
