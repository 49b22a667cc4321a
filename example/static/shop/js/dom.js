// Markup comes from the page's own templates; what arrives in messages is only ever text.

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

function spoken(value) {
  const date = new Date(value);
  const isToday = date.toDateString() === new Date().toDateString();
  return `${isToday ? "today" : DAY.format(date)}, ${TIME.format(date)}`;
}

/** Shows a moment in a <time>, in the reader's time zone; nothing where there is none. */
export function setTime(element, value) {
  element.textContent = value ? spoken(value) : "";
  if (value) element.dateTime = value;
  else element.removeAttribute("datetime");
}

/** Fills the slots of `root` (or `root` itself) with the values that `data` has for them. */
export function fill(root, data) {
  const all = (name) => root.querySelectorAll(`[${name}]`);
  for (const slot of all("data-slot")) {
    if (data[slot.dataset.slot] !== undefined) slot.textContent = data[slot.dataset.slot];
  }
  for (const slot of all("data-slot-time")) {
    if (data[slot.dataset.slotTime] !== undefined) setTime(slot, data[slot.dataset.slotTime]);
  }
  for (const slot of all("data-slot-kind")) slot.dataset.kind = data[slot.dataset.slotKind] ?? "";
  for (const slot of all("data-slot-href")) {
    const url = data[slot.dataset.slotHref] ?? "";
    // Our own pages only: never javascript:, whoever publishes.
    slot.hidden = !/^\/(?!\/)/.test(url);
    if (!slot.hidden) slot.setAttribute("href", url);
  }
  for (const part of all("data-show")) {
    const [name, value] = part.dataset.show.split("=");
    part.hidden = data[name] !== value;
  }
}

/** A filled copy of what a <template> holds. */
export function copy(template, data) {
  const element = template.content.firstElementChild.cloneNode(true);
  fill(element, data);
  return element;
}

/** Draws the eye to what has just changed; the style sheet knows who prefers no motion. */
export function highlight(element) {
  element.classList.remove("is-new");
  void element.offsetWidth; // restarts the animation
  element.classList.add("is-new");
}

/** The JSON of one of our own addresses; undefined where it can't be had just now. */
export async function load(url) {
  try {
    const response = await fetch(url, { headers: { Accept: "application/json" } });
    return response.ok ? await response.json() : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Calls `fetchState` whenever a channel goes live, or now where it is: another module of the page
 * may have used it first. What happened between the making of the page and the subscription is in
 * no message.
 */
export function keepCurrent(channel, fetchState) {
  if (channel.status === "live") void fetchState();
  channel.onStatus((status) => {
    if (status === "live") void fetchState();
  });
  channel.onLost(() => void fetchState());
}

export const { ownChannel } = document.body.dataset;
export const isStaff = "staff" in document.body.dataset;
