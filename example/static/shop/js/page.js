// On every page: what is new, the state of the connection, and what concerns this user wherever they are.
import { copy, highlight, ownChannel, setTime } from "./dom.js";

const WORDS = {
  idle: "Waiting",
  connecting: "Connecting…",
  live: "Live",
  "catching-up": "Catching up",
  offline: "Offline",
  stopped: "Not connected",
  "signed-out": "Signed out",
};
const TOASTS = 4;
const KEPT = 200;

const pill = document.getElementById("connection");
function showStatus(status) {
  pill.dataset.status = status;
  pill.querySelector(".pill-text").textContent = WORDS[status];
}
instant.on("status", showStatus);
showStatus(instant.status);

// What {% live %}, {% livelist %} and send_html() have changed.
function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) setTime(time, time.dateTime);
}
showTimes(document);
document.addEventListener("instant:updated", ({ target }) => {
  showTimes(target);
  if (target.matches("instant-live, [data-highlight]")) highlight(target);
});
for (const event of ["instant:enter", "instant:change"]) {
  document.addEventListener(event, ({ target }) => highlight(target));
}

const toasts = document.getElementById("toasts");
function toast(kind, title, text, url = "") {
  const element = copy(document.getElementById("toast"), { title, text });
  element.querySelector("[data-kind]").dataset.kind = kind;
  const link = element.querySelector("a");
  // Our own pages only: never javascript:, whoever publishes.
  link.hidden = !/^\/(?!\/)/.test(url);
  if (!link.hidden) link.href = url;
  element.querySelector("button").addEventListener("click", () => element.remove());
  toasts.append(element);
  while (toasts.children.length > TOASTS) toasts.firstElementChild.remove();
}

const air = document.getElementById("air");
instant.channel("public").on("*", ({ message, data, date }) => {
  const text = message || JSON.stringify(data);
  if (!air) return toast("notice", "On air:", text);
  const item = copy(air.parentElement.querySelector("template"), { text, at: date.toISOString() });
  air.prepend(item);
  while (air.children.length > KEPT) air.lastElementChild.remove();
  highlight(item);
});

if (ownChannel) {
  const own = instant.channel(ownChannel);
  own.on("note", ({ data }) => {
    if (!document.getElementById("notes")) toast("note", `Note from ${data.author}:`, data.text, "/notes/");
  });
  own.on("order.moved", ({ message, data }) => {
    const isShown = document.querySelector(`[data-order="${Number(data.order)}"]`);
    if (!isShown && !("staff" in document.body.dataset)) toast("order", "Order moved:", message, `/orders/${Number(data.order)}/`);
  });
  own.on("order.shared", ({ message, data }) => toast("order", "Shared with you:", message, data.url));
  own.on("", ({ message }) => toast("note", "For you:", message));
}

// A login or logout in one tab changes who may see what in the others.
const session = new BroadcastChannel("threadwell-session");
session.addEventListener("message", ({ data }) => {
  if (data !== ownChannel) location.reload();
});
session.postMessage(ownChannel);
