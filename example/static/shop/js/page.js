// On every page: the state of the connection, and what concerns this user wherever they are.
import { copy, isStaff, ownChannel, setTime } from "./dom.js";

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

const pill = document.getElementById("connection");
function showStatus(status) {
  pill.dataset.status = status;
  pill.querySelector(".pill-text").textContent = WORDS[status];
}
instant.on("status", showStatus);
showStatus(instant.status);

for (const time of document.querySelectorAll("time[datetime]")) setTime(time, time.dateTime);

const toasts = document.getElementById("toasts");
function toast(data) {
  const element = copy(document.getElementById("toast"), { url: "", ...data });
  element.querySelector("button").addEventListener("click", () => element.remove());
  toasts.append(element);
  while (toasts.children.length > TOASTS) toasts.firstElementChild.remove();
}

// The board lists these itself.
if (!document.getElementById("air")) {
  instant.channel("public").on("*", ({ message, data }) => {
    toast({ kind: "notice", title: "On air:", text: message || JSON.stringify(data) });
  });
}

if (ownChannel) {
  const own = instant.channel(ownChannel);
  own.on("note", ({ data }) => {
    if (!document.getElementById("notes")) {
      toast({ kind: "note", title: `Note from ${data.author}:`, text: data.text, url: "/notes/" });
    }
  });
  own.on("order.moved", ({ message, data }) => {
    if (isStaff || document.querySelector(`[data-order="${Number(data.order)}"]`)) return;
    toast({ kind: "order", title: "Order moved:", text: message, url: `/orders/${Number(data.order)}/` });
  });
  own.on("order.shared", ({ message, data }) => {
    toast({ kind: "order", title: "Shared with you:", text: message, url: data.url });
  });
  own.on("", ({ message }) => toast({ kind: "note", title: "For you:", text: message }));
}

// A login or logout in one tab changes who may see what in the others.
const session = new BroadcastChannel("threadwell-session");
session.addEventListener("message", ({ data }) => {
  if (data !== ownChannel) location.reload();
});
session.postMessage(ownChannel);
