// The last hour as two charts of our own. Whoever cannot see them gets a sentence, and a table.

import { el, setText, svg } from "./dom.js";
import { amount, count, duration, minuteTime } from "./format.js";

const HEIGHT = 100; // of the drawing's own units; its shapes are stretched, and its words are beside it
const charts = new WeakMap();

const minuteOf = (one) => minuteTime(new Date(one.at));

export function showCharts(place, minutes, limit) {
  if (!charts.has(place)) {
    const made = [chart("Starts per minute"), chart("Wait before the start")];
    const table = el("tbody");
    place.append(...made.map((one) => one.node), tableOf(table));
    charts.set(place, { made, table });
  }
  const { made: [starts, waits], table } = charts.get(place);
  drawStarts(starts, minutes, limit ? limit * 60 : null);
  drawWaits(waits, minutes);
  fillTable(table, minutes);
}

function chart(title) {
  const picture = svg("svg", { viewBox: `0 0 60 ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  const top = el("span", { class: "axis" });
  const [from, to] = [el("span"), el("span")];
  const text = el("p", { class: "quiet-text" });
  const legend = el("p", { class: "legend" });
  const node = el("figure", { class: "chart" },
    el("figcaption", {}, el("span", {}, title), legend),
    el("div", { class: "plot" }, top, picture),
    el("div", { class: "ends", "aria-hidden": "true" }, from, to),
    text);
  return { node, picture, top, from, to, text, legend, title };
}

function drawStarts(chart, minutes, limit) {
  const most = Math.max(1, ...minutes.map((one) => Math.max(one.started, one.failed + one.throttled)));
  // A limit far above would make the bars too small to see.
  const scale = limit !== null && limit <= 2 * most ? Math.max(most, limit) : most;
  const shapes = minutes.flatMap((one, index) => {
    const bad = (one.failed + one.throttled) / scale;
    const name = `${one.started} started, ${one.failed} failed, ${one.throttled} throttled`;
    return column(index, `${minuteOf(one)}: ${name}`, [
      ["started", one.started / scale],
      ["throttled", bad],
      ["failed", one.failed / scale],
    ]);
  });
  if (limit !== null && limit <= scale) shapes.push(line(limit / scale));
  finish(chart, minutes, shapes, amount(scale));
  const drawn = limit !== null && limit <= scale ? [["limit", `limit ${amount(limit)}`]] : [];
  showLegend(chart, [["started", "started"], ["failed", "failed"], ["throttled", "throttled"], ...drawn]);
  const total = (name) => minutes.reduce((sum, one) => sum + one[name], 0);
  const bad = `${amount(total("failed"))} failed, ${amount(total("throttled"))} throttled`;
  const busiest = minutes.reduce((best, one) => (one.started > best.started ? one : best));
  const peak = busiest.started ? `; the busiest minute was ${minuteOf(busiest)} with ${busiest.started}` : "";
  say(chart, `${count(total("started"), "start")}, ${bad}${peak}.`);
}

function drawWaits(chart, minutes) {
  const most = Math.max(1, ...minutes.map((one) => one.longest_wait));
  const shapes = minutes.flatMap((one, index) => {
    const bars = one.started ? [["longest", one.longest_wait / most], ["mean", one.mean_wait / most]] : [];
    const name = `mean ${duration(one.mean_wait)}, longest ${duration(one.longest_wait)}`;
    return column(index, `${minuteOf(one)}: ${name}`, bars);
  });
  finish(chart, minutes, shapes, duration(most));
  showLegend(chart, [["mean", "mean"], ["longest", "longest"]]);
  const started = minutes.reduce((sum, one) => sum + one.started, 0);
  const waited = minutes.reduce((sum, one) => sum + one.started * one.mean_wait, 0);
  const longest = Math.max(...minutes.map((one) => one.longest_wait));
  const text = `${duration(waited / started)} on average, and ${duration(longest)} at most.`;
  say(chart, started ? text : "Nothing started.");
}

function column(index, name, bars) {
  const drawn = bars.filter(([, share]) => share > 0).map(([kind, share]) => {
    const height = Math.min(HEIGHT, Math.max(1.5, share * HEIGHT));
    return svg("rect", { class: `bar-${kind}`, x: index + 0.14, y: HEIGHT - height, width: 0.72, height });
  });
  const area = svg("rect", { class: "bar-area", x: index, y: 0, width: 1, height: HEIGHT }, svg("title", {}, name));
  return [svg("g", {}, ...drawn, area)];
}

function line(share) {
  const y = HEIGHT - Math.min(HEIGHT - 0.5, share * HEIGHT);
  return svg("line", { class: "bar-limit", x1: 0, x2: 60, y1: y, y2: y, "vector-effect": "non-scaling-stroke" });
}

function finish(chart, minutes, shapes, top) {
  chart.picture.setAttribute("viewBox", `0 0 ${minutes.length} ${HEIGHT}`);
  chart.picture.replaceChildren(...shapes);
  setText(chart.top, top);
  setText(chart.from, minuteTime(new Date(minutes[0].at)));
  setText(chart.to, "now");
}

function showLegend(chart, entries) {
  if (chart.shown === String(entries)) return;
  chart.shown = String(entries);
  chart.legend.replaceChildren(...entries.map(([kind, text]) => el("span", { class: `key key-${kind}` }, text)));
}

function say(chart, text) {
  setText(chart.text, text);
  chart.picture.setAttribute("aria-label", `${chart.title}: ${text}`);
}

function tableOf(body) {
  const heads = ["Minute", "Started", "Mean wait", "Longest wait", "Succeeded", "Failed", "Throttled"];
  const table = el("table", {},
    el("caption", { class: "unseen" }, "The last hour, minute by minute, the newest first"),
    el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
    body);
  const label = "The last hour as a table";
  const scroll = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table);
  return el("details", { class: "as-table" }, el("summary", {}, "Show as a table"), scroll);
}

function fillTable(body, minutes) {
  if (!body.closest("details").open && body.childElementCount) return;
  const rows = [...minutes].reverse().map((one) => {
    const waits = one.started ? [duration(one.mean_wait), duration(one.longest_wait)] : ["", ""];
    const cells = [one.started, ...waits, one.succeeded, one.failed, one.throttled];
    return el("tr", {}, el("th", { scope: "row" }, minuteOf(one)), ...cells.map((cell) => el("td", {}, String(cell))));
  });
  body.replaceChildren(...rows);
}
