// The note form: its line is in the feed at once, until the list shows the one that Django has written.
import { copy } from "./dom.js";

const form = document.getElementById("note");
const feed = document.getElementById("feed");
const alert = form.querySelector("[role=alert]");
const staff = instant.channel("$staff");
staff.on("activity", () => undefined); // joins the channel before a line is sent

const isShown = ({ id }) => feed.querySelector(`[data-instant-key="${Number(id)}"]`);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = new FormData(form);
  const text = `${form.dataset.author} sent ${form.elements.recipient.selectedOptions[0].text} a note`;
  const line = copy(feed.parentElement.querySelector("template"), { text, at: new Date().toISOString() });
  line.ariaBusy = "true";
  feed.prepend(line);
  form.reset();
  alert.hidden = true;
  try {
    const headers = { Accept: "application/json", ...instant.headers() };
    const response = await fetch(form.action, { method: "POST", body, headers });
    const { id, error } = await response.json();
    if (!response.ok) throw new Error(error);
    // The message may have been faster, or come with what a lost connection missed.
    const { data } = await staff.once("activity", { id });
    while (!isShown(data)) await new Promise((resolve) => feed.addEventListener("instant:enter", resolve, { once: true }));
  } catch (error) {
    alert.textContent = error.message;
    alert.hidden = false;
    form.elements.text.value = body.get("text");
    form.elements.recipient.value = body.get("recipient");
  }
  line.remove();
});
