// How fast jobs start, by the minutes of the last hour.

const ENOUGH = 6; // starts that say something of a rate
const IDLE = 5; // minutes; what was before says nothing of a queue that has nothing to do

// Starts a second, lately: in as many of the last minutes as it takes to see enough of them. A queue that is younger than
// that is not held to have done nothing before.
export function rateOf(history, busy, now) {
  const current = Math.min(60, Math.max(0, (now - new Date(history.at(-1).at)) / 1000));
  const first = history.findIndex((one) => one.started > 0);
  const most = Math.min(busy ? Infinity : IDLE, first < 0 ? 0 : history.length - 1 - first);
  let [starts, minutes] = [history.at(-1).started, 0]; // whole minutes, before the current one
  while (minutes < most && (minutes === 0 || starts < ENOUGH)) {
    minutes += 1;
    starts += history.at(-1 - minutes).started;
  }
  return starts / Math.max(60, 60 * minutes + current);
}
