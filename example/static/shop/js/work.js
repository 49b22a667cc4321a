// A call that takes long, in a card: its progress, and its ticket, which this tab keeps, so that it finds it after a reload.
import { fill } from "./dom.js";

/** Begins it with the card's button. Returns a function that cancels it. */
export function work(card, begin, { progress, done, failed }) {
  const key = `threadwell-${card.id}`;
  const button = card.querySelector("[data-begin]");
  const shown = card.querySelector(".work");
  const bar = shown.querySelector("progress");
  let call;

  function setBusy(isBusy) {
    button.ariaDisabled = isBusy ? "true" : null;
    if (!isBusy && card.contains(document.activeElement)) button.focus();
    card.toggleAttribute("data-busy", isBusy);
    shown.hidden = !isBusy;
  }

  function show({ state, progress: part, message = "" }) {
    if (state !== "queued" && state !== "running") return; // its end, which the promise brings
    const isKnown = typeof part === "number";
    if (isKnown) bar.value = part;
    else bar.removeAttribute("value");
    fill(shown, { message, percent: isKnown ? `${Math.round(part * 100)} %` : "" });
    progress(state);
  }

  async function follow(begun) {
    call = begun;
    show({ state: "queued" });
    setBusy(true);
    call.onProgress(show);
    try {
      const [result] = await Promise.all([call, call.ticket.then((id) => id && sessionStorage.setItem(key, id))]);
      sessionStorage.removeItem(key);
      done(result);
    } catch (error) {
      // What was only not heard of may still be calculated.
      if (!error.temporary) sessionStorage.removeItem(key);
      failed(error);
    }
    call = undefined;
    setBusy(false);
  }

  button.addEventListener("click", () => {
    if (!call) void follow(begin());
  });
  const kept = sessionStorage.getItem(key);
  if (kept) void follow(instant.ticket(kept));
  return () => call?.cancel();
}
