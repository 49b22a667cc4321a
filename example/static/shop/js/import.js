// The progress of an import, as the importer tells it to whoever started it.
import { copy, fill, keepCurrent, load, ownChannel } from "./dom.js";

const run = document.getElementById("run");
const list = document.getElementById("refused");
const template = list.parentElement.querySelector("template");

function show(data) {
  // Messages and a state that was fetched meanwhile may cross: progress goes forward only.
  if (run.dataset.status !== "running" && data.status === "running") return;
  if (data.status === "running" && data.percent < run.querySelector("progress").value) return;
  run.dataset.status = data.status;
  const { errors, ...counts } = data;
  fill(document.getElementById("progress"), counts);
  run.querySelector("progress").value = data.percent;
  run.querySelector("[data-reason]").hidden = !data.reason;
  for (const error of errors) {
    if (list.querySelector(`[data-line="${Number(error.line)}"]`)) continue;
    const item = copy(template, error);
    item.dataset.line = error.line;
    list.append(item);
  }
}

const channel = instant.channel(ownChannel);
channel.on("import.progress", ({ data }) => {
  if (data.run === Number(run.dataset.run)) show(data);
});
keepCurrent(channel, async () => {
  const data = await load(run.dataset.state);
  if (data) show(data);
});
