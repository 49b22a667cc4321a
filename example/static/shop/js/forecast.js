// The forecast: a request to a worker, whose ticket this tab keeps, so that it finds the answer after a reload.
const KEY = "threadwell-forecast";
const GONE = 404;

const card = document.getElementById("forecast");
const status = card.querySelector("[role=status]");
const button = card.querySelector("button");
const work = card.querySelector(".work");
const bar = work.querySelector("progress");

function showProgress({ progress, message }) {
  if (typeof progress === "number") bar.value = progress;
  work.querySelector("[data-slot=message]").textContent = message ?? "";
}

async function follow(request) {
  button.ariaDisabled = "true";
  work.hidden = false;
  bar.removeAttribute("value");
  status.textContent = "Looking ahead…";
  request.onProgress(showProgress);
  const keep = (id) => id && sessionStorage.setItem(KEY, id);
  try {
    const [{ weeks, percent }] = await Promise.all([request, request.ticket.then(keep)]);
    status.textContent = `Nothing runs out within ${weeks} weeks in ${percent} % of all runs`;
    sessionStorage.removeItem(KEY);
  } catch (error) {
    if (!error.temporary) sessionStorage.removeItem(KEY);
    status.textContent = error.code === GONE ? "" : `There is no forecast: ${error.message}`;
  }
  button.ariaDisabled = null;
  work.hidden = true;
}

button.addEventListener("click", () => {
  if (button.ariaDisabled !== "true") void follow(instant.request("forecast", { weeks: 4 }));
});

const kept = sessionStorage.getItem(KEY);
if (kept) void follow(instant.ticket(kept));
