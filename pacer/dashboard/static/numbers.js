// The numbers of the parts: what the code says, what holds now, and, for those who may, another one.

import { actionButton, act, load, once, steerable } from "./actions.js";
import { byId, el, keyed, setText, show, visible } from "./dom.js";

let view = null;
let seen = null;

export function openNumbers() {
  view = numbersView();
  byId("numbers").replaceChildren(view.node);
  view.refresh();
  return view.heading;
}

// Somebody, here or elsewhere, has set some.
export function noteByHand(byHand) {
  const now = JSON.stringify(byHand);
  if (seen !== null && now !== seen) view?.refresh();
  seen = now;
}

function numbersView() {
  const heading = el("h2", { tabindex: -1, "data-heading": true }, "Numbers of the parts");
  const text = steerable
    ? "A number that is set here holds at once, on all workers, and survives a restart. It does not change the code."
    : "What the code says, and what has been set by hand.";
  const list = el("ul", { class: "numbers" });
  const note = el("p", { class: "empty", role: "status" }, "Looking them up…");
  const refresh = async () => {
    try {
      const numbers = await load("numbers");
      keyed(list, numbers, (one) => one.path, (one) => numberRow(one, refresh));
      setText(note, "The parts have no numbers that can be set.");
      show(note, numbers.length === 0);
    } catch (error) {
      setText(note, error.message);
      show(note, true);
    }
  };
  const node = el("section", { class: "card" }, heading, el("p", { class: "quiet-text" }, text), list, note);
  return { node, heading, refresh };
}

const shownAs = (value) => (value === null ? "" : String(value));

function numberRow(first, refresh) {
  const id = `number-${first.path}`;
  const name = visible(first.path);
  const input = el("input", {
    id, inputmode: "decimal", autocomplete: "off", required: true, readonly: !steerable,
    "aria-describedby": `${id}-note`,
  });
  const note = el("p", { id: `${id}-note`, class: "quiet-text" });
  const set = el("button", { type: "submit", "aria-label": `Set ${name}` }, "Set");
  const reset = actionButton("Reset", `Reset ${name}`, () => change(null));
  const form = el("form", { class: "number" }, el("label", { for: id }, el("bdi", { class: "id" }, name)), note, input,
    steerable ? set : null, steerable ? reset : null);
  let number = first;
  let written = null;

  async function change(value) {
    const done = value === null ? `${name} is back to ${shownAs(number.recipe)}.` : `${name} is ${value} now.`;
    written = null;
    if (await act("numbers", { numbers: { [first.path]: value } }, done)) await refresh();
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const value = input.value.trim() ? Number(input.value.replace(",", ".")) : NaN;
    input.setCustomValidity(Number.isFinite(value) ? "" : "This has to be a number.");
    if (input.reportValidity()) once(set, () => change(value));
  });
  input.addEventListener("input", () => input.setCustomValidity(""));
  const update = (next) => {
    number = next;
    // What somebody is typing is theirs.
    const theirs = document.activeElement === input && input.value !== (written ?? "");
    if (!theirs) input.value = written = shownAs(next.value);
    form.toggleAttribute("data-by-hand", next.by_hand);
    show(reset, next.by_hand);
    setText(note, next.by_hand ? `Set by hand; the code says ${shownAs(next.recipe)}.` : "As the code says.");
  };
  return { node: el("li", {}, form), update };
}
