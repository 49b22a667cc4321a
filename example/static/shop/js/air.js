// What is said on the channel "public", newest first.
import { copy, highlight } from "./dom.js";

const KEPT = 200;
const list = document.getElementById("air");
const template = list.parentElement.querySelector("template");

instant.channel("public").on("*", ({ message, data, date }) => {
  const item = copy(template, { text: message || JSON.stringify(data), at: date.toISOString() });
  list.prepend(item);
  while (list.children.length > KEPT) list.lastElementChild.remove();
  highlight(item);
});
