// Which view is shown, and what the live connection says to it.

import { act, endHold, once, steerable } from "./actions.js";
import { learnServerTime, now, setStopped } from "./clock.js";
import { byId, setAttribute, setText, show, visible } from "./dom.js";
import { clockTime } from "./format.js";
import { showFooter, showHeadline } from "./headline.js";
import { openJob, showJob } from "./job.js";
import { openJobs, showCounts } from "./jobs.js";
import { noteByHand, openNumbers } from "./numbers.js";
import { showOverview } from "./overview.js";
import { Live } from "./stream.js";

const title = document.title;
const data = {};
let news = {}; // of a reading that has not come to its end
let heard = null; // when the last reading came
let state = null; // what it says of the queue
let viewName = "";

// What opens a view: its heading, which gets the focus, and its name.
const VIEWS = {
  overview: () => ({ heading: document.querySelector("#overview [data-heading]"), name: "" }),
  job: ({ id }) => ({ heading: openJob(id), name: `Job ${visible(id)}` }),
  jobs: ({ parameters }) => ({ heading: openJobs(parameters), name: "Jobs" }),
  numbers: () => ({ heading: openNumbers(), name: "Numbers" }),
};

function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?", 2);
  if (path.startsWith("jobs/")) return { view: "job", id: decoded(path.slice(5)) };
  const view = ["jobs", "numbers"].includes(path) ? path : "overview";
  return { view, parameters: new URLSearchParams(query ?? "") };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function open({ focus }) {
  const { view, id, parameters } = route();
  for (const place of document.querySelectorAll("[data-shows]")) show(place, place.dataset.shows === view);
  for (const link of document.querySelectorAll("[data-view]")) {
    const here = link.dataset.view === view || (link.dataset.view === "jobs" && view === "job");
    setAttribute(link, "aria-current", here ? "page" : null);
  }
  const { heading, name } = VIEWS[view]({ id, parameters });
  document.body.dataset.view = view;
  viewName = name;
  nameTab();
  live.show(view === "job" ? id : null);
  if (focus) {
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

// Where tabs are many, the one with a queue that stands still is found by its name.
function nameTab() {
  const word = state?.tone === "hold" || state?.tone === "alarm" ? state.word : "";
  document.title = [word, viewName, title].filter((part) => part !== "").join(" · ");
}

// A reading comes part by part, without those that are as they were. It is shown as a whole: its status is the last.
function receive(name, part) {
  if (name === "problem") trouble(part.detail);
  else if (name === "job") showJob(part, state);
  else news[name] = data[name] = part;
  if (name !== "status") return;
  showReading(news);
  news = {};
}

function showReading(parts) {
  heard = now();
  document.documentElement.toggleAttribute("data-known", true);
  trouble("");
  announce(showHeadline(data));
  showOverview({ ...parts, upcoming: data.upcoming }, state); // the state decides on their times
  showCounts(data.status, data.ended);
  showFooter(data.status);
  noteByHand(data.status.numbers_by_hand);
}

// Screen readers hear when the state becomes another one, and not how its seconds pass.
function announce(next) {
  if (state !== null && state.word !== next.word) {
    setText(byId("announce"), `${next.word}. ${next.why.replaceAll("`", "")}`);
  }
  state = next;
  nameTab();
}

const LINK = {
  live: "Live",
  lost: "Connection lost, retrying",
  away: "Not available, retrying",
  refused: "Signed out",
};

function link(state, detail) {
  setAttribute(byId("link"), "data-link", state);
  setText(byId("link"), LINK[state]);
  setAttribute(document.documentElement, "data-link", state);
  setStopped(state !== "live");
  if (state === "live") {
    learnServerTime(detail);
    trouble("");
    return;
  }
  trouble(detail || "Connection lost, retrying.");
}

function trouble(text) {
  const since = heard === null ? "" : ` What you see is from ${clockTime(heard)}.`;
  show(byId("trouble"), text !== "");
  if (text) setText(byId("trouble"), text + since);
  document.documentElement.toggleAttribute("data-old", text !== "");
}

byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  location.hash = `#/jobs/${encodeURIComponent(byId("find-id").value)}`;
});
for (const place of document.querySelectorAll("[data-steering]")) show(place, steerable);
for (const [id, done] of [["pause", "Paused: no other job starts."], ["resume", "Resumed: jobs start again."]]) {
  byId(id).addEventListener("click", () => once(byId(id), () => act(id, {}, done)));
}
byId("end-hold").addEventListener("click", () => once(byId("end-hold"), endHold));

// The link to the content is none to a view.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});

const live = new Live({ message: receive, link }, route().id ?? null);
open({ focus: false });
addEventListener("hashchange", () => open({ focus: true }));
