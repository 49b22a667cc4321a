/** What people have changed and nobody has saved: it is theirs, whatever the server's HTML says. */

type Control = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

const CONTROLS = "input, textarea, select";
/** Elements that somebody has typed in, of those whose value doesn't tell. */
const touched = new WeakSet<Element>();

/** Notes what people type from now on. */
export function watchEdits(): void {
  document.addEventListener(
    "input",
    ({ target }) => {
      const host = target instanceof Element && (target.closest("[contenteditable]") ?? target);
      if (host) touched.add(host);
    },
    { capture: true },
  );
  document.addEventListener("reset", ({ target }) => {
    for (const control of (target as HTMLFormElement).elements) touched.delete(control);
  }, { capture: true });
}

/** Tells whether an element's content is being edited in place, or was. */
export function isEdited(element: Element): boolean {
  const { isContentEditable } = element as HTMLElement;
  if (!isContentEditable || !element.hasAttribute("contenteditable")) return false;
  return touched.has(element) || element.contains(document.activeElement);
}

/** The controls of a part of the page that people have changed. */
export class Edits {
  readonly #dirty = new Set<Element>();
  readonly #chosen = new Map<HTMLSelectElement, readonly string[]>();

  constructor(root: Element) {
    const controls = [...root.querySelectorAll<Control>(CONTROLS)];
    if (root.matches(CONTROLS)) controls.push(root as Control);
    const groups = new Set<string>();
    for (const control of controls) {
      if (!isDirty(control)) continue;
      this.#dirty.add(control);
      if (control instanceof HTMLSelectElement) this.#chosen.set(control, chosen(control));
      if (control.type === "radio") groups.add(control.name);
    }
    // Of radio buttons one answer is kept, which is all of them.
    for (const control of controls) if (control.type === "radio" && groups.has(control.name)) this.#dirty.add(control);
  }

  /** Tells whether an attribute is what somebody has changed about a control. */
  has(element: Element, attribute: string): boolean {
    if (attribute === "selected") return this.#dirty.has(element.closest("select") ?? element);
    if (attribute === "value") return this.#dirty.has(element) && !isChoice(element);
    return attribute === "checked" && this.#dirty.has(element);
  }

  /** Chooses again what was chosen: options are other ones now. */
  restore(): void {
    for (const [select, values] of this.#chosen) {
      const options = [...select.options];
      if (!values.every((value) => options.some((option) => option.value === value))) continue;
      for (const option of options) option.selected = values.includes(option.value);
    }
  }
}

function isDirty(control: Control): boolean {
  if (control instanceof HTMLSelectElement) {
    const options = [...control.options];
    const first = control.multiple || options.some((option) => option.defaultSelected) ? undefined : options.find((option) => !option.disabled);
    return options.some((option) => option.selected !== (option.defaultSelected || option === first));
  }
  if (isChoice(control)) return (control as HTMLInputElement).checked !== (control as HTMLInputElement).defaultChecked;
  // Without a value they have one all the same.
  if (control.type === "range" || control.type === "color") return touched.has(control);
  return control.value !== control.defaultValue;
}

const chosen = (select: HTMLSelectElement): string[] => [...select.selectedOptions].map(({ value }) => value);

const isChoice = ({ type }: Element & { type?: string }): boolean => type === "checkbox" || type === "radio";
