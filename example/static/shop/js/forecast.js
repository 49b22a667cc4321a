// The forecast: a request to a worker.
import { fill } from "./dom.js";
import { work } from "./work.js";

const GONE = 404;
const card = document.getElementById("forecast");
const say = (said) => fill(card, { said });

work(card, () => instant.request("forecast", { weeks: 4 }), {
  progress: () => say("Looking ahead…"),
  done: ({ weeks, percent }) => say(`Nothing runs out within ${weeks} weeks in ${percent} % of all runs`),
  failed: ({ code, message }) => say(code === GONE ? "" : `There is no forecast: ${message}`),
});
