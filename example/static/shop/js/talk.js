// The talk: pages publish, Python reads it first, and a live list shows what became of it.
import { sentence } from "./dom.js";

const TYPING = 3000;

const form = document.getElementById("talk");
const field = form.elements.text;
const button = form.querySelector("button");
const alert = form.querySelector("[role=alert]");
const talk = instant.channel("talk:counter");
const typing = instant.channel("typing:counter");

// Who is writing: told at most every two seconds, and forgotten after three.
let told = 0;

function why({ code, message, retryAfter }) {
  if (retryAfter) return `That was a lot. Try again in ${retryAfter} ${retryAfter > 1 ? "seconds" : "second"}.`;
  return code < 100 ? "That did not get through. Try again." : message;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  alert.hidden = true;
  const text = field.value;
  form.reset(); // what is typed from now on is the next line
  told = 0;
  try {
    // Resolves with the line as it was stored; a refusal says why.
    await talk.publish({ data: { text } });
  } catch (error) {
    field.value = field.value ? `${text}\n${field.value}` : text;
    alert.textContent = why(error);
    alert.hidden = false;
  }
  button.disabled = false;
  field.focus();
});
field.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (!button.disabled) form.requestSubmit();
});

field.addEventListener("input", () => {
  if (!field.value || Date.now() - told < TYPING - 1000) return;
  told = Date.now();
  typing.publish({}).catch(() => undefined);
});
const writing = new Map();
function mark(name, isWriting) {
  clearTimeout(writing.get(name));
  if (isWriting) writing.set(name, setTimeout(mark, TYPING, name, false));
  else writing.delete(name);
  document.getElementById("typing").textContent = sentence([...writing.keys()].sort(), "writing…");
}
typing.on("typing", ({ data: { name } }) => name !== form.dataset.user && mark(name, true));
talk.on("said", ({ data: { author } }) => mark(author, false));

talk.onPresence(({ people }) => {
  const others = people.map(({ info }) => info.name).filter((name) => name !== form.dataset.user);
  document.getElementById("here").textContent = others.length ? sentence(["You", ...others.sort()], "here") : "Only you are here";
});
