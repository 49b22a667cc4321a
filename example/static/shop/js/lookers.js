// Who else looks at the order just now.
import { ownChannel } from "./dom.js";

// Whoever presses a button leaves, and is back with the next page.
const RETURN = 2000;
const NAMES = new Intl.ListFormat("en", { type: "conjunction" });

const line = document.getElementById("lookers");
const page = document.querySelector("article[data-order]");

function show(people) {
  const others = people.filter(({ user }) => `user:${user}` !== ownChannel);
  const names = others.map(({ info }) => info.name).sort();
  const verb = names.length > 1 ? "are" : "is";
  line.textContent = names.length ? `${NAMES.format(names)} ${verb} looking at this order too` : "";
}

let waiting;
instant.channel(page.dataset.channel).onPresence(({ people, left }) => {
  clearTimeout(waiting);
  waiting = setTimeout(show, left.length ? RETURN : 0, people);
});
