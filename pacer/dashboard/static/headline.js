// The top of the page.

import { byId, el, keyed, setAttribute, setSentence, setText, show, visible } from "./dom.js";
import { countDown, countUp, now, settle } from "./clock.js";
import { amount, clockTime, duration, expected, interval, rateUnit } from "./format.js";
import { rateOf } from "./rate.js";
import { cautionsOf, startable, stateOf } from "./state.js";
import { steerable } from "./actions.js";

let stuckSince = null;
let longest = { why: "", seconds: 0 }; // how long the wait was when it was first seen

// Gives the state that it shows.
export function showHeadline(data) {
  const { status, history, ended, upcoming, next } = data;
  if (!startable(status, next)) stuckSince = null;
  else stuckSince ??= performance.now();
  const state = stateOf(data, stuckSince === null ? 0 : (performance.now() - stuckSince) / 1000);
  show(byId("state"), true);
  setAttribute(byId("state"), "data-tone", state.tone);
  setText(byId("state-word"), state.word);
  setSentence(byId("state-why"), visible(state.why));
  showTime(state, upcoming[0]?.estimate);
  showActions(status);
  showFacts(status, state);
  showRate(status, history);
  showCautions(cautionsOf(status, ended));
  return state;
}

// Who has pressed a button that vanishes has the focus on the one that stays.
function showActions(status) {
  const [there, gone] = status.paused ? [byId("resume"), byId("pause")] : [byId("pause"), byId("resume")];
  const endHold = byId("end-hold");
  show(there, true);
  const held = status.hold_seconds > 0 && !status.paused;
  if (document.activeElement === gone || (!held && document.activeElement === endHold)) there.focus();
  show(gone, false);
  show(endHold, held);
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
    const range = interval(forecast);
    setText(note, forecast ? `The next start is expected ${expected(forecast)}${range && ` (${range})`}.` : "");
    return;
  }
  if (longest.why !== state.why || longest.seconds < state.seconds) longest = state;
  const of = state.total === null ? "" : ` of ${duration(state.total)}`;
  const at = state.seconds >= 5 ? `, at ${clockTime(new Date(now().getTime() + state.seconds * 1000))}` : "";
  setText(note, `left${of} ${state.then}${at}`);
  const over = () => {
    show(time, false);
    setText(note, "Now.");
  };
  countDown(time, state.seconds, { bar: byId("state-bar"), total: state.total ?? longest.seconds, over });
}

function showFacts(status, state) {
  setText(byId("fact-waiting"), `${amount(status.pending)} of ${amount(status.capacity)}`);
  setText(byId("fact-running"), `${amount(status.running)} of ${amount(status.concurrency)}`);
  setText(byId("fact-new"), state.unless ?? expected(status.estimate));
  setAttribute(byId("fact-new"), "title", (state.unless === null && interval(status.estimate)) || null);
  setText(byId("fact-duration"), duration(status.average_duration));
  const oldest = byId("fact-oldest");
  if (status.oldest_waiting_seconds === null) {
    settle(oldest);
    setText(oldest, "none");
  } else {
    countUp(oldest, new Date(now().getTime() - status.oldest_waiting_seconds * 1000));
  }
}

// The unit is in the label, so that the figure stands as "9 of 10" beside the others.
function showRate(status, history) {
  const [limit, busy] = [status.rate_limit, status.pending + status.running > 0];
  const rate = rateOf(history, busy, now());
  const { each, factor } = rateUnit(Math.max(rate, limit ?? 0));
  setText(byId("fact-rate-each"), `Starts per ${each}`);
  const most = limit === null ? "" : ` of ${amount(limit * factor)}`;
  setText(byId("fact-rate"), limit === 0 ? "stopped" : amount(rate * factor) + most);
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
