/** What a key press would do something to. */
const ACTIVE = "a[href], button, input, select, textarea, summary, label, iframe, audio, video, [contenteditable], [tabindex]";

/** Where the focus is, and the cursor in it. */
interface Place {
  readonly element: HTMLElement;
  readonly selection: readonly [number, number, ("forward" | "backward" | "none")?] | undefined;
  /** Its ancestors from the inside to the outside, and as which child each has the one before. */
  readonly path: readonly (readonly [Element, number])[];
}

/**
 * Changes the page; the focus and the cursor are where they were, if that is still there.
 *
 * What replaces the focused element under its `id` or `name` gets the focus. Else it goes to the place where the
 * element was: never to something that a key press would set off.
 */
export function keepFocus(root: Element, change: () => void): void {
  const element = document.activeElement as HTMLElement | null;
  if (!element || element === document.body || !root.contains(element)) {
    change();
    return;
  }
  const place: Place = { element, selection: selectionOf(element), path: pathOf(element) };
  change();
  if (!element.isConnected) moveOn(place);
  else if (document.activeElement === element) select(element, place.selection);
  else focus(element, place.selection); // it was moved, where the browser forgets by that
}

function pathOf(element: Element): Place["path"] {
  const path: [Element, number][] = [];
  for (let child = element; child.parentElement; child = child.parentElement) {
    path.push([child.parentElement, [...child.parentElement.children].indexOf(child)]);
  }
  return path;
}

function moveOn({ element, selection, path }: Place): void {
  const [parent, index] = path.find(([one]) => one.isConnected) ?? [document.body, 0];
  const twin = (element.id && document.getElementById(element.id)) || namesake(element, parent);
  if (twin?.localName === element.localName) {
    focus(twin, selection);
    return;
  }
  // What came in its place, the one behind it, or the last one.
  const next = parent.children[Math.min(index, parent.children.length - 1)];
  const to = next && !next.matches(ACTIVE) && parent !== document.body ? next : parent;
  rest(to === document.body ? document.querySelector("main, [role=main]") : to);
}

/** The one control of that name, kind and value, if there is one only. */
function namesake(element: HTMLElement, parent: Element): HTMLElement | undefined {
  const name = element.getAttribute("name");
  if (!name) return undefined;
  const found = [...parent.querySelectorAll<HTMLElement>(`${element.localName}[name="${CSS.escape(name)}"]`)];
  const same = found.filter((one) => ["type", "value"].every((key) => !isChoice(element) || one.getAttribute(key) === element.getAttribute(key)));
  return same.length === 1 ? same[0] : undefined;
}

const isChoice = (element: Element): boolean => element.matches("[type=checkbox], [type=radio], button");

/** Lets keyboard and screen reader go on from an element, which is none that takes the focus otherwise. */
function rest(element: Element | null): void {
  if (!(element instanceof HTMLElement || element instanceof SVGElement)) return;
  if (!element.matches(ACTIVE)) {
    element.tabIndex = -1;
    element.addEventListener("blur", () => { element.removeAttribute("tabindex"); }, { once: true });
  }
  element.focus({ preventScroll: true });
}

function focus(element: HTMLElement, selection: Place["selection"]): void {
  element.focus({ preventScroll: true });
  select(element, selection);
}

function selectionOf(element: Element): Place["selection"] {
  if (!isText(element)) return undefined;
  const { selectionStart: from, selectionEnd: to, selectionDirection: direction } = element;
  return from === null || to === null ? undefined : [from, to, direction ?? "none"]; // numbers and dates tell none
}

function select(element: Element, selection: Place["selection"]): void {
  if (!selection || !isText(element)) return;
  const [from, to] = selection;
  if (element.selectionStart !== from || element.selectionEnd !== to) element.setSelectionRange(...selection);
}

const isText = (element: Element): element is HTMLInputElement | HTMLTextAreaElement =>
  element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement;
