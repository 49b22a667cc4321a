// The stock report: a call that is queued.
import { fill } from "./dom.js";
import { work } from "./work.js";

const LABELS = { queued: "Waiting for a worker…", running: "Calculating…" };
const LATER = "That did not get through. Try again.";
const GONE = 404;
const CANCELLED = 499;

const card = document.getElementById("report");
const status = card.querySelector("[role=status]");
const alert = card.querySelector("[role=alert]");
const slot = (name) => status.querySelector(`[data-slot=${name}]`).textContent;
/** What is said while nothing is calculated. */
let idle = { label: slot("label"), at: status.querySelector("time").dateTime, by: slot("by") };

const say = (label) => fill(status, { label, at: "", by: "" });
function complain(text) {
  fill(alert, { error: text });
  alert.hidden = !text;
}

const cancel = work(card, () => instant.rpc("report.build"), {
  progress(state) {
    if (state === "queued") complain("");
    say(LABELS[state]);
  },
  // The figures come to all who look at them, by send_html().
  done({ by, at }) {
    idle = { label: "Calculated", at, by: `by ${by}` };
    fill(status, idle);
  },
  failed({ method, code, message }) {
    if (code === CANCELLED) return say("Cancelled");
    fill(status, idle);
    // Kept for longer than Django does, or by whoever was here before.
    if (method === "instant.ticket" && code === GONE) return;
    complain(code >= 100 ? `It could not be calculated: ${message}.` : LATER);
  },
});
document.getElementById("cancel").addEventListener("click", () => cancel()?.catch(() => complain(LATER)));
