// The list of orders and the page of one: both show where an order stands now.
import { fill, highlight, isStaff, ownChannel } from "./dom.js";

const STATES = { done: "done", now: "current step", todo: "to come" };
const page = document.querySelector("article[data-order]");

function showSteps(root, steps) {
  for (const { status, state, at } of steps) {
    const step = root.querySelector(`[data-step="${CSS.escape(status)}"]`);
    if (!step) continue;
    step.dataset.state = state;
    if (state === "now") step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
    fill(step, { state: STATES[state], at });
  }
}

function showNext(form, next) {
  form.hidden = !next;
  if (!next) return;
  form.querySelector("button").value = next.status;
  fill(form, { next: next.label.toLowerCase() });
}

function show(data) {
  const root = document.querySelector(`[data-order="${Number(data.order)}"]`);
  if (!root) {
    const hint = document.getElementById("new-orders");
    if (hint) hint.hidden = false;
    return;
  }
  const badge = root.querySelector("[data-badge]");
  // What the page shows already is no news; orders only move forward.
  const all = data.steps.map(({ status }) => status);
  if (all.indexOf(data.status) <= all.indexOf(badge.dataset.status)) return;
  badge.dataset.status = data.status;
  fill(badge, { label: data.label });
  showSteps(root, data.steps);
  const form = root.querySelector("[data-next]");
  if (form) showNext(form, data.next);
  highlight(root === page ? root.querySelector(".steps") : root);
}

const channel = instant.channel(page?.dataset.channel ?? (isStaff ? "$staff" : ownChannel));
if (page) {
  // From the state in the page on, and anew where messages were lost.
  channel.state(show);
} else {
  channel.on("order.moved", ({ data }) => show(data));
  channel.onLost(() => location.reload());
}
