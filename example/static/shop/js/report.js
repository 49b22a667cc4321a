// The stock report: a call that is queued, whose ticket this tab keeps, so that it finds it after a reload.
import { copy, fill, highlight } from "./dom.js";

const KEY = "threadwell-report";
const LABELS = { queued: "Waiting for a worker…", running: "Calculating…" };
const GONE = 404;
const CANCELLED = 499;

const work = document.getElementById("work");
const status = work.querySelector("[role=status]");
const alert = work.querySelector("[role=alert]");
const progress = document.getElementById("progress");
const bar = progress.querySelector("progress");
const about = document.getElementById("about");
const start = document.getElementById("recalculate");
const cancel = document.getElementById("cancel");
const list = document.getElementById("lines");

const slot = (name) => status.querySelector(`[data-slot=${name}]`).textContent;
/** What is said while nothing is calculated. */
let idle = { label: slot("label"), at: status.querySelector("time").dateTime, by: slot("by") };
/** The call that is followed. */
let call;

function say(label) {
  // What is said already is not said again: it would be read out each time.
  if (slot("label") !== label) fill(status, { label, at: "", by: "" });
}

function complain(text) {
  alert.querySelector("span").textContent = text;
  alert.hidden = !text;
}

function setBusy(isBusy) {
  start.ariaDisabled = isBusy ? "true" : null;
  if (!isBusy && document.activeElement === cancel) start.focus();
  cancel.hidden = !isBusy;
  progress.hidden = !isBusy;
  about.hidden = isBusy;
}

function showProgress({ state, progress: done, message }) {
  if (!(state in LABELS)) return; // its end, which the promise brings
  say(LABELS[state]);
  const isKnown = typeof done === "number";
  if (isKnown) bar.value = done;
  else bar.removeAttribute("value");
  fill(progress, { message, percent: isKnown ? `${Math.round(done * 100)} %` : "" });
}

function showReport({ by, at, lines, total }) {
  idle = { label: "Calculated", at, by: `by ${by}` };
  fill(status, idle);
  const [line, sum] = ["line", "total"].map((id) => document.getElementById(id));
  list.replaceChildren(...lines.map((data) => copy(line, data)), copy(sum, total));
  highlight(list);
}

function showError({ method, code, message }) {
  if (code === CANCELLED) return say("Cancelled");
  fill(status, idle);
  // Kept for longer than Django does, or by whoever was here before.
  if (method === "instant.ticket" && code === GONE) return;
  complain(code >= 100 ? `It could not be calculated: ${message}.` : "That did not get through. Try again.");
}

async function follow(begun) {
  call = begun;
  complain("");
  showProgress({ state: "queued", message: "" });
  setBusy(true);
  call.onProgress(showProgress);
  const keep = (id) => id && sessionStorage.setItem(KEY, id);
  try {
    const [report] = await Promise.all([call, call.ticket.then(keep)]);
    sessionStorage.removeItem(KEY);
    showReport(report);
  } catch (error) {
    // What was only not heard of may still be calculated.
    if (!error.temporary) sessionStorage.removeItem(KEY);
    showError(error);
  }
  call = undefined;
  setBusy(false);
}

start.addEventListener("click", () => {
  if (!call) void follow(instant.rpc("report.build"));
});
cancel.addEventListener("click", () => {
  call?.cancel().catch(() => complain("That did not get through. Try again."));
});

const kept = sessionStorage.getItem(KEY);
if (kept) void follow(instant.ticket(kept));
