// Elements from data. Text goes into text nodes only: nothing of a job is ever read as HTML.

export const byId = (id) => document.getElementById(id);

// el("a", { class: "id", href: "#/", onclick: act }, "text", node, null)
export function el(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

export function svg(tag, properties = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function filled(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Only what differs is written, so that selections and what screen readers have in hand stay as they are.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// The same for a sentence with `code` in it.
export function setSentence(node, text) {
  if (node.textContent === text.replaceAll("`", "")) return;
  node.replaceChildren(...text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part)));
}

export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

const rows = new WeakMap();

// The children of a list, one for each item: those that stay are kept and updated, so that focus stays where it is.
// `make(item)` gives { node, update }.
export function keyed(list, items, keyOf, make) {
  const known = rows.get(list) ?? new Map();
  const kept = new Map();
  for (const item of items) {
    const row = known.get(keyOf(item)) ?? make(item);
    row.update(item);
    kept.set(keyOf(item), row);
  }
  for (const [key, row] of known) if (!kept.has(key)) row.node.remove();
  let next = list.firstElementChild;
  for (const { node } of kept.values()) {
    if (node === next) next = node.nextElementSibling;
    else if (node.parentNode === list && list.moveBefore) list.moveBefore(node, next); // keeps the focus
    else list.insertBefore(node, next);
  }
  rows.set(list, kept);
}

const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const HIDDEN_IN_LINES = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const escaped = (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

// Text of a job in one line, with its control characters for all to see: an id must not look like another.
export const visible = (text) => text.replace(HIDDEN, escaped);

// The same for text of several lines.
export const visibleLines = (text) => text.replace(HIDDEN_IN_LINES, escaped);

// Text of a job, apart from the direction of what stands around it.
export function said(text, properties = {}) {
  return el("bdi", properties, visible(text));
}

export function jobLink(id, properties = {}) {
  return el("a", { class: "id", href: jobAddress(id), ...properties }, said(id));
}

// encodeURIComponent refuses halves of characters.
export const jobAddress = (id) => `#/jobs/${encodeURIComponent(id.toWellFormed?.() ?? id)}`;
