// What the page of an order does when its reader may see it no longer.
import { copy, ownChannel } from "./dom.js";

const page = document.querySelector("article[data-order]");
const gone = document.getElementById("gone");
const { channel: name, order } = page.dataset;

function say(id) {
  gone.replaceChildren(copy(document.getElementById(id), {}));
  document.title = `${gone.querySelector("h1").textContent} · Threadwell`;
}

const channel = instant.channel(name);
channel.onStatus((status) => {
  // "revoked" while the page was open, or "refused": the right ended before the page was connected,
  // or the page is an old one that the browser has kept.
  if (status !== "denied") return;
  channel.leave();
  page.remove();
  say("revoked");
  instant.channel(ownChannel).on("order.shared", ({ data }) => {
    if (data.order === Number(order)) say("returned");
  });
});
