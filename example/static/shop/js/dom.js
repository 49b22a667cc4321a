// What several pages need. Django makes the markup; what arrives in messages is only ever text.

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

function spoken(value) {
  const date = new Date(value);
  const isToday = date.toDateString() === new Date().toDateString();
  return `${isToday ? "today" : DAY.format(date)}, ${TIME.format(date)}`;
}

/** Shows a moment in a <time>, in the reader's time zone; nothing where there is none. */
export function setTime(element, value) {
  element.dateTime = value;
  element.textContent = value && spoken(value);
}

/** Fills the slots of `root` with the values that `data` has for them. What is there already isn't said again. */
export function fill(root, data) {
  for (const [name, value] of Object.entries(data)) {
    for (const slot of root.querySelectorAll(`[data-slot=${name}]`)) {
      if (slot.localName === "time") setTime(slot, value);
      else if (slot.textContent !== String(value)) slot.textContent = value;
    }
  }
}

/** A filled copy of what a <template> holds. */
export function copy(template, data = {}) {
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

const NAMES = new Intl.ListFormat("en", { type: "conjunction" });
/** “ada and bob are here”; nothing where there is nobody. */
export const sentence = (names, what) => (names.length ? `${NAMES.format(names)} ${names.length > 1 ? "are" : "is"} ${what}` : "");

export const { ownChannel } = document.body.dataset;
