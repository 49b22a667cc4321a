// The note form: its line is in the feed at once, until the list shows the one that Django has written.
import { copy } from "./dom.js";

const PATIENCE = 20_000;

const form = document.getElementById("note");
const feed = document.getElementById("feed");
const alert = form.querySelector("[role=alert]");
const staff = instant.channel("$staff");
staff.on("activity", () => undefined); // joins the channel before a line is sent

const isShown = ({ id }) => feed.querySelector(`[data-instant-key="${Number(id)}"]`);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = new FormData(form);
  const { recipient, text: field } = form.elements;
  const text = `${form.dataset.author} sent ${recipient.selectedOptions[0].text} a note`;
  const line = copy(feed.parentElement.querySelector("template"), { text, at: new Date().toISOString() });
  line.ariaBusy = "true";
  feed.prepend(line);
  form.reset(); // what is written from now on is the next note
  alert.hidden = true;
  let id;
  try {
    const headers = { Accept: "application/json", ...instant.headers() };
    const response = await fetch(form.action, { method: "POST", body, headers, signal: AbortSignal.timeout(PATIENCE) });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    id = answer.id;
  } catch (error) {
    alert.textContent = error.message;
    alert.hidden = false;
    // The next note may be for somebody else: it stays, and this one is quoted.
    if (field.value) alert.textContent += ` Not sent: ${body.get("text")}`;
    else for (const name of ["recipient", "text"]) form.elements[name].value = body.get(name);
    line.remove();
    return;
  }
  // It is stored: whatever happens now is no reason to send it again.
  try {
    // The message may have been faster, or come with what a lost connection missed.
    const { data } = await staff.once("activity", { id });
    while (!isShown(data)) await new Promise((resolve) => feed.addEventListener("instant:enter", resolve, { once: true }));
  } catch {
    // the channel was left, and the list shows it when it comes back
  }
  line.remove();
});
