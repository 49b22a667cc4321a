// Lists of things that have an id, newest first: notices, notes, the staff's feed.
import { copy, highlight, keepCurrent, load } from "./dom.js";

for (const list of document.querySelectorAll("[data-live-list]")) {
  const { channels, event, latest, own } = list.dataset;
  const template = list.parentElement.querySelector("template");
  const idOf = (item) => Number(item.dataset.id);
  // Everything up to this id is on the page. Live ones above it may have gaps below them.
  let known = list.firstElementChild ? idOf(list.firstElementChild) : 0;

  const add = (data) => {
    const below = [...list.children].find((item) => idOf(item) <= data.id);
    if (below && idOf(below) === data.id) return;
    const item = copy(template, data);
    item.dataset.id = data.id;
    list.insertBefore(item, below ?? null);
    highlight(item);
  };
  const catchUp = async () => {
    const answer = await load(`${latest}?after=${known}`);
    if (answer === undefined) return;
    for (const data of answer.items.toReversed()) add(data);
    known = Math.max(known, ...answer.items.map(({ id }) => id));
  };

  for (const name of channels.split(" ")) {
    const channel = instant.channel(name);
    // What this page did itself, another module may have shown before it was so.
    channel.on(event, ({ data }) => add(data), { own: own !== "shown" });
    keepCurrent(channel, catchUp);
  }
}
