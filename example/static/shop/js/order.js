// The page of one order: who else looks at it, and what becomes of it when its reader may see it no longer.
import { copy, ownChannel, sentence } from "./dom.js";

// Whoever presses a button leaves, and is back with the next page.
const RETURN = 2000;

const page = document.querySelector("article[data-order]");
const order = instant.channel(page.dataset.channel);

function say(id) {
  const gone = document.getElementById("gone");
  gone.replaceChildren(copy(document.getElementById(id)));
  document.title = `${gone.querySelector("h1").textContent} · Threadwell`;
}

order.onStatus((status) => {
  // The right ended while the page was open or before it was connected, or the browser has kept an old page.
  if (status !== "denied") return;
  order.leave();
  page.remove();
  say("revoked");
  instant.channel(ownChannel).on("order.shared", ({ data }) => {
    if (data.order === Number(page.dataset.order)) say("returned");
  });
});

let waiting;
order.onPresence(({ people, left }) => {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const others = people.filter(({ user }) => `user:${user}` !== ownChannel).map(({ info }) => info.name).sort();
    document.getElementById("lookers").textContent = sentence(others, "looking at this order too");
  }, left.length ? RETURN : 0);
});
