// The progress of an import, as the importer tells it to whoever started it.
import { copy, fill, keepCurrent, load, ownChannel } from "./dom.js";

const run = document.getElementById("run");
const list = document.getElementById("refused");
const template = list.parentElement.querySelector("template");

const bar = run.querySelector("progress");

// A state that was fetched and the messages of that moment may cross. Each may hold rows that the
// other lacks, so these are always taken; the counts only go forward.
function show({ errors, ...counts }) {
  for (const error of errors) showRefused(error);
  const isOld = run.dataset.status !== "running" || counts.percent < bar.value;
  if (counts.status === "running" && isOld) return;
  run.dataset.status = counts.status;
  fill(document.getElementById("progress"), counts);
  bar.value = counts.percent;
  run.querySelector("[data-reason]").hidden = !counts.reason;
}

function showRefused(error) {
  const lineOf = (item) => Number(item.dataset.line);
  const after = [...list.children].find((item) => lineOf(item) >= error.line);
  if (after && lineOf(after) === error.line) return;
  const item = copy(template, error);
  item.dataset.line = error.line;
  list.insertBefore(item, after ?? null);
}

const channel = instant.channel(ownChannel);
channel.on("import.progress", ({ data }) => {
  if (data.run === Number(run.dataset.run)) show(data);
});
keepCurrent(channel, async () => {
  const data = await load(run.dataset.state);
  if (data) show(data);
});
