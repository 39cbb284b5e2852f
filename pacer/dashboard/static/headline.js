// The top of the page.

import { byId, el, keyed, setAttribute, setText, show } from "./dom.js";
import { countDown, countUp, now, settle } from "./clock.js";
import { amount, clockTime, duration, expected, interval, rateUnit } from "./format.js";
import { cautionsOf, startable, stateOf } from "./state.js";
import { steerable } from "./actions.js";

let stuckSince = null;
let longest = { why: "", seconds: 0 }; // how long the wait was when it was first seen

export function showHeadline(data) {
  const { status, workers, history, ended, upcoming } = data;
  if (!startable(status)) stuckSince = null;
  else stuckSince ??= performance.now();
  const state = stateOf(status, workers, stuckSince === null ? 0 : (performance.now() - stuckSince) / 1000);
  show(byId("state"), true);
  setAttribute(byId("state"), "data-tone", state.tone);
  setText(byId("state-word"), state.word);
  setText(byId("state-why"), state.why);
  showTime(state, upcoming?.[0]?.estimate);
  showSwitch(status.paused);
  showFacts(status, history);
  showCautions(cautionsOf(status, ended));
  return state;
}

// Pause or resume; who has pressed one has the focus on the other.
function showSwitch(paused) {
  const [there, gone] = paused ? [byId("resume"), byId("pause")] : [byId("pause"), byId("resume")];
  const focused = document.activeElement === gone;
  show(there, true);
  show(gone, false);
  if (focused) there.focus();
}

// A time that is certain counts down, one that is forecast is told with its interval.
function showTime(state, forecast) {
  const [time, note] = [byId("state-time"), byId("state-note")];
  const certain = state.seconds !== null;
  show(time, certain);
  show(byId("state-bar"), certain);
  show(byId("state-until"), certain || (state.open && forecast !== undefined && forecast !== null));
  if (!certain) {
    settle(time);
    setText(note, forecast ? `The next start is expected ${expected(forecast)} (${interval(forecast)}).` : "");
    return;
  }
  if (longest.why !== state.why || longest.seconds < state.seconds) longest = state;
  countDown(time, state.seconds, { bar: byId("state-bar"), total: state.total ?? longest.seconds });
  const of = state.total === null ? "" : ` of ${duration(state.total)}`;
  const at = state.seconds >= 5 ? `, at ${clockTime(new Date(now().getTime() + state.seconds * 1000))}` : "";
  setText(note, `left${of} until the next start${at}`);
}

function showFacts(status, history) {
  setText(byId("fact-waiting"), `${amount(status.pending)} of ${amount(status.capacity)}`);
  setText(byId("fact-running"), `${amount(status.running)} of ${amount(status.concurrency)}`);
  setText(byId("fact-rate"), rateText(status.rate_limit, history));
  const until = interval(status.estimate);
  setText(byId("fact-new"), status.paused ? "when resumed" : expected(status.estimate));
  setAttribute(byId("fact-new"), "title", until || null);
  setText(byId("fact-duration"), duration(status.average_duration));
  const oldest = byId("fact-oldest");
  if (status.oldest_waiting_seconds === null) {
    settle(oldest);
    setText(oldest, "nobody");
  } else {
    countUp(oldest, new Date(now().getTime() - status.oldest_waiting_seconds * 1000));
  }
}

const WINDOWS = [2, 3, 5]; // minutes, the current one among them
const ENOUGH = 6; // starts from which on a shorter window is a better answer to "now"

function rateText(limit, history) {
  if (!history?.length) return "";
  const starts = (minutes) => history.slice(-minutes).reduce((sum, one) => sum + one.started, 0);
  const minutes = WINDOWS.find((one) => starts(one) >= ENOUGH) ?? WINDOWS.at(-1);
  const current = Math.min(60, Math.max(1, (now() - new Date(history.at(-1).at)) / 1000));
  const rate = starts(minutes) / (60 * (minutes - 1) + current);
  const unit = rateUnit(Math.max(rate, limit ?? 0));
  const most = limit === null ? "" : ` of ${amount(limit * unit.factor)}`;
  return `${amount(rate * unit.factor)}${most} per ${unit.each}`;
}

function showCautions(cautions) {
  show(byId("cautions"), cautions.length > 0);
  keyed(byId("cautions"), cautions, (one) => one.href + one.text, (one) => ({
    node: el("li", {}, el("a", { href: one.href, "data-tone": one.tone }, one.text)),
    update: () => {},
  }));
}

export function showFooter(status) {
  const totals = [
    `${amount(status.succeeded)} succeeded`,
    `${amount(status.failed)} failed`,
    `${amount(status.throttled)} throttled by the upstream`,
  ];
  setText(byId("totals"), `Since the queue exists: ${totals.join(", ")}.`);
  show(byId("read-only"), !steerable);
}
