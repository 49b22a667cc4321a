/** How an element looks and what state it is in; scripts change that, and not only the server. */
const STATE = /^(?:class|style|hidden|inert|role|tabindex|aria-.*|data-.*)$/;

export const isCustom = (node: Node): node is Element => node instanceof Element && node.localName.includes("-");

export const attributesOf = ({ attributes }: Element): Map<string, string> =>
  new Map([...attributes].map(({ name, value }) => [name, value]));

const NONE: ReadonlyMap<string, string> = new Map();

/** What the server's HTML has said of elements last, by which is known what scripts of the page have changed since. */
export class Given {
  readonly #attributes = new WeakMap<Element, ReadonlyMap<string, string>>();

  /** Notes a part of the page as it is now, but for custom elements that may have changed themselves. */
  remember(root: ParentNode): void {
    if (root instanceof Element) this.#set(root);
    for (const element of root.querySelectorAll("*")) this.#set(element);
  }

  /** Notes what the server says of an element now. */
  note(element: Element, said: Element): void {
    const all = [...said.attributes].filter(({ name }) => STATE.test(name) || isCustom(element));
    this.#attributes.set(element, all.length ? new Map(all.map(({ name, value }) => [name, value])) : NONE);
  }

  /** Notes what it says of a new one and of all that is in it. */
  noteAll(element: Element, said: Element): void {
    const all = [...element.querySelectorAll("*")];
    const others = [...said.querySelectorAll("*")];
    this.note(element, said);
    // A custom element may have made others as soon as it was there.
    if (all.length === others.length) all.forEach((one, index) => { this.note(one, others[index] as Element); });
  }

  /**
   * Tells whether an attribute is to become what the server says now, null where it says nothing of it.
   *
   * It is not where the server says the same as before, and a script has changed it since. Of classes each counts for
   * itself: those are changed here.
   */
  isNews(element: Element, name: string, now: string | null): boolean {
    const isOwn = isCustom(element);
    const before = this.#attributes.get(element);
    // What a custom element has in addition is its own.
    if (!before) return !isOwn || now !== null;
    if (!isOwn && !STATE.test(name)) return true;
    const then = before.get(name) ?? null;
    if (name !== "class") return then !== now;
    merge(element, then ?? "", now ?? "");
    return now === null && !element.classList.length;
  }

  #set(element: Element): void {
    if (!isCustom(element) || element.matches(":not(:defined)")) this.note(element, element);
  }
}

/** Gives an element the classes that the server says now, with what scripts have added and without what they have removed. */
function merge({ classList }: Element, before: string, now: string): void {
  const then = split(before);
  const said = split(now);
  for (const one of then) if (!said.has(one)) classList.remove(one);
  for (const one of said) if (!then.has(one)) classList.add(one);
}

const split = (text: string): Set<string> => new Set(text.split(/\s+/).filter(Boolean));
