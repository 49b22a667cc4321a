// The note form: its line is in the feed at once, and confirmed when the message about it arrives.
import { copy, fill, highlight } from "./dom.js";

const form = document.getElementById("note");
const feed = document.getElementById("feed");
const template = feed.parentElement.querySelector("template");
const alert = form.querySelector("[role=alert]");
const staff = instant.channel("$staff");

/** Sends the form; the id of what Django published. */
async function send(body) {
  const headers = { Accept: "application/json", ...instant.headers() };
  const response = await fetch(form.action, { method: "POST", body, headers });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer.id;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = new FormData(form);
  const recipient = form.elements.recipient.selectedOptions[0].text;
  const text = `${form.dataset.author} sent ${recipient} a note`;
  const line = copy(template, { kind: "note", label: "Note", text, at: new Date().toISOString(), url: "" });
  line.ariaBusy = "true";
  feed.prepend(line);
  form.reset();
  alert.hidden = true;
  try {
    const id = await send(body);
    // The message may have been faster, or come with what a lost connection missed.
    const { data } = await staff.once("activity", { id });
    // The feed may have fetched it meanwhile.
    feed.querySelector(`[data-id="${Number(data.id)}"]`)?.remove();
    fill(line, data);
    line.dataset.id = data.id;
    line.ariaBusy = null;
    highlight(line);
  } catch (error) {
    line.remove();
    alert.textContent = error.message;
    alert.hidden = false;
    form.elements.text.value = body.get("text");
    form.elements.recipient.value = body.get("recipient");
  }
});
