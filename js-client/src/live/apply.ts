/** Puts HTML into the page: as it comes, or morphed into what is there. */
import { keepFocus } from "./focus.js";
import { given, morph } from "./morph.js";
import { parse } from "./parse.js";
import { start } from "./scripts.js";

/** What is done with HTML and the element that it is for. */
export type Action = "replace" | "update" | "append" | "prepend" | "before" | "after" | "remove" | "morph";

/** The event that follows, on the element whose content has changed; `detail.action` says how. */
export const UPDATED = "instant:updated";

/**
 * Changes an element, and dispatches `instant:updated`.
 *
 * `update` replaces its content and `replace` itself, `append`, `prepend`, `before` and `after` add to it, `remove`
 * takes it away. `morph` changes what differs only, so that what people are doing there goes on: in the element itself
 * if the HTML is one element with its `id`, else in its content. Scripts run once, and only those that the page's
 * Content Security Policy lets run.
 */
export function apply(target: Element, html: string, action: Action): void {
  const { parentElement: parent } = target;
  const isInside = action === "update" || action === "append" || action === "prepend" || action === "morph";
  if (!isInside && !parent) return; // <html> itself, or it is in no page
  let changed = isInside ? target : (parent as Element);
  keepFocus(isInside && action !== "morph" ? target : (parent ?? target), () => {
    if (action === "remove") {
      target.remove();
      return;
    }
    const content = parse(html, isInside ? target : (parent as Element));
    if (action === "morph") {
      morph(target, content);
      return;
    }
    given.remember(content);
    const added = [...content.childNodes];
    const scripts = [...content.querySelectorAll("script")];
    if (action !== "update" && action !== "replace") forgetTwins(isInside ? target : (parent as Element), added, target);
    if (action === "update") target.replaceChildren(...added);
    else if (action === "replace") {
      target.replaceWith(...added);
      changed = added.find((node) => node instanceof Element) ?? changed;
    } else target[action](...added);
    start(scripts);
  });
  if (changed.isConnected) announce(changed, action);
}

/** What comes again under an `id` that is there already, stands there once: where it comes now. */
function forgetTwins(parent: Element, added: readonly Node[], target: Element): void {
  const ids = new Set(added.map((node) => (node instanceof Element ? node.id : "")));
  for (const child of [...parent.children]) if (child.id && ids.has(child.id) && child !== target) child.remove();
}

function announce(element: Element, action: Action): void {
  // What it has no observer for: attributes of its own in new content.
  (window as { htmx?: { process?: (element: Element) => void } }).htmx?.process?.(element);
  element.dispatchEvent(new CustomEvent(UPDATED, { bubbles: true, detail: { action } }));
}
