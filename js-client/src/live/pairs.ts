/** Which elements of the page and of new HTML are the same ones, beyond what their ids say. */

const CONTROLS = "input[name]:not([id]), textarea[name]:not([id]), select[name]:not([id])";
const PREFIX = "instant-morph-";
const MARKED = "[data-instant-keep='']";
/** What nobody but the page changes. */
const KEPT = `${MARKED}, [hx-preserve], [data-turbo-permanent], instant-status, instant-bell`;

/** Tells whether an element stays as it is, with all that is in it. */
export const isKept = (element: Element): boolean => element.matches(KEPT);

/** Alpine's own notes on `<template x-for>` and `<template x-if>`. */
interface AlpineTemplate extends HTMLTemplateElement {
  readonly _x_lookup?: Map<unknown, unknown> | Record<string, unknown>;
  readonly _x_currentIfEl?: Element;
}

/**
 * Gives elements without an `id` one for a moment, by which they are recognized.
 *
 * A control is the same under the same name in the same form, so what is typed in one is never taken for what belongs
 * in another. And what is to stay, or was made by Alpine, is like nothing in the new HTML.
 */
export class Pairs {
  /** What scripts of the page have made: it stays though the server doesn't know it. */
  readonly made = new Set<Element>();
  readonly #named = new Set<Element>();
  readonly #behind = new Map<Element, Element | null>();

  constructor(target: Element, content: ParentNode) {
    this.#pairControls(target, content);
    this.#pairKept(target, content);
    for (const template of target.querySelectorAll<AlpineTemplate>("template[x-for], template[x-if]")) {
      const { _x_lookup: many, _x_currentIfEl: one } = template;
      const elements = [...(many instanceof Map ? many.values() : Object.values(many ?? {})), one];
      for (const element of elements) if (element instanceof Element) this.made.add(element);
    }
    for (const element of this.made) this.#name([element]);
    for (const element of target.querySelectorAll(MARKED)) {
      if (!element.id || !content.querySelector(`[id="${CSS.escape(element.id)}"]`)) this.made.add(element);
    }
    for (const element of this.made) this.#behind.set(element, element.previousElementSibling);
  }

  /** Takes the ids away again, and puts what stays behind the element behind which it was. */
  end(target: ParentNode): void {
    for (const [element, before] of this.#behind) {
      const { parentElement: parent } = element;
      if (!parent || element.previousElementSibling === before || (before && before.parentElement !== parent)) continue;
      move(parent, element, before ? before.nextSibling : parent.firstChild);
    }
    for (const element of [...this.#named, ...target.querySelectorAll(`[id^="${PREFIX}"]`)]) {
      if (element.id.startsWith(PREFIX)) element.removeAttribute("id");
    }
  }

  #name(elements: readonly Element[]): void {
    if (elements.some((element) => element.id)) return;
    const id = `${PREFIX}${String(this.#named.size)}`;
    for (const element of elements) {
      element.id = id;
      this.#named.add(element);
    }
  }

  #pairControls(target: Element, content: ParentNode): void {
    const old = byKey(target.querySelectorAll(CONTROLS), target);
    const fresh = byKey(content.querySelectorAll(CONTROLS), content);
    for (const [key, controls] of old) {
      const twins = fresh.get(key) ?? [];
      if (controls.length === 1 && twins.length === 1) this.#name([...controls, ...twins]);
      else if (!twins.length) for (const control of controls) this.#name([control]);
    }
  }

  #pairKept(target: Element, content: ParentNode): void {
    const fresh = [...content.querySelectorAll(KEPT)].filter(({ id }) => !id);
    for (const element of target.querySelectorAll(KEPT)) {
      if (element.id || element.parentElement?.closest(KEPT)) continue;
      const index = fresh.findIndex(({ localName }) => localName === element.localName);
      const [twin] = index < 0 ? [] : fresh.splice(index, 1);
      this.#name(twin ? [element, twin] : [element]);
    }
  }
}

/** Moves an element with all that it is doing, where the browser can. */
function move(parent: Element & { moveBefore?: (element: Element, before: Node | null) => void }, element: Element, before: Node | null): void {
  if (parent.moveBefore) parent.moveBefore(element, before);
  else parent.insertBefore(element, before);
}

function byKey(controls: Iterable<Element>, root: ParentNode): Map<string, Element[]> {
  const found = new Map<string, Element[]>();
  const forms = [...root.querySelectorAll("form")];
  for (const control of controls) {
    const form = control.closest("form");
    const place = form && (form.id || form.getAttribute("action") || String(forms.indexOf(form)));
    const { type } = control as HTMLInputElement;
    const value = type === "radio" || type === "checkbox" ? control.getAttribute("value") : "";
    const key = JSON.stringify([place, control.localName, type, control.getAttribute("name"), value]);
    found.set(key, [...(found.get(key) ?? []), control]);
  }
  return found;
}
