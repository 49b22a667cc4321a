import { Idiomorph } from "idiomorph";

import { Edits, isEdited } from "./edited.js";
import { tell } from "./events.js";
import { attributesOf, Given, isCustom } from "./given.js";
import { isKept, Pairs } from "./pairs.js";
import { start } from "./scripts.js";

/** What people and scripts change about elements; the server's HTML says how they begin. */
const THEIRS: Readonly<Record<string, readonly string[]>> = {
  details: ["open"],
  dialog: ["open"],
  // Setting one empties it.
  canvas: ["width", "height"],
};

/** What the server has said of the page's elements. */
export const given = new Given();

/**
 * Makes the content of an element what `content` says, and changes only what differs. Where that is one element with
 * the `id` of `target`, it is `target` itself.
 *
 * The server's HTML wins, but for what people are doing: the focus and the cursor, what they have typed and chosen, what
 * they have opened; and for what scripts have changed about how an element looks, as long as the server says the same.
 * What is marked with `data-instant-keep` stays, and so do the attributes that it names, and what a listener of
 * `instant:before-morph` keeps with `preventDefault()`.
 */
export function morph(target: Element, content: DocumentFragment): void {
  const only = onlyElement(content);
  const isItself = target.id !== "" && only?.id === target.id;
  const scope = (isItself && target.parentElement) || target;
  const pairs = new Pairs(target, content);
  const edits = new Edits(target);
  const scrolled = scrolledIn(target);
  const fresh = new Map<Element, Element>();
  const scripts = new Set<HTMLScriptElement>();
  /** Made by Idiomorph a moment ago, so there is nothing to be kept. */
  const blank = new WeakSet<Element>();
  /** What is being added, as the server has sent it. */
  let coming: Node | undefined;

  const callbacks = {
    beforeNodeMorphed(old: Node, now: Node): boolean {
      if (!(old instanceof Element && now instanceof Element)) return true;
      if (isKept(old)) return false;
      // A template's content is no part of the comparison.
      if (old.isEqualNode(now) && !old.querySelector("template") && old.localName !== "template") {
        given.noteAll(old, now);
        return false;
      }
      if (!old.attributes.length && !old.hasChildNodes()) blank.add(old);
      else if (!tell(old, "instant:before-morph", { to: now })) return false;
      if (old instanceof HTMLScriptElement) {
        if (isSame(old, now)) return false;
        scripts.add(old);
      }
      // What somebody writes in it, or the element itself has put there, is compared with itself.
      if (isEdited(old) || (fillsItself(old) && !now.hasChildNodes())) {
        now.replaceChildren(...[...old.childNodes].map((child) => child.cloneNode(true)));
      }
      fresh.set(old, now);
      return true;
    },
    beforeAttributeUpdated(name: string, element: Element, how: "update" | "remove"): boolean {
      if (blank.has(element)) return true;
      if (name === "nonce" || THEIRS[element.localName]?.includes(name) || edits.has(element, name)) return false;
      if (element.getAttribute("data-instant-keep")?.split(" ").includes(name)) return false;
      if (isAlpines(element)) return how === "update" && name !== "style" && name !== "class";
      return given.isNews(element, name, fresh.get(element)?.getAttribute(name) ?? null);
    },
    afterNodeMorphed(old: Node, now: Node): void {
      if (old instanceof Element) given.note(old, now as Element);
    },
    beforeNodeAdded(node: Node): boolean {
      coming = node;
      return true;
    },
    afterNodeAdded(node: Node): void {
      // One that Idiomorph makes first and fills then has been told of part by part.
      if (!(node instanceof Element) || blank.has(node)) return;
      given.noteAll(node, coming as Element);
      if (node instanceof HTMLScriptElement) scripts.add(node);
      for (const script of node.querySelectorAll("script")) scripts.add(script);
    },
    beforeNodeRemoved(node: Node): boolean {
      return !(node instanceof Element && pairs.made.has(node));
    },
  };
  try {
    void Idiomorph.morph(target, isItself ? only : content, {
      morphStyle: isItself ? "outerHTML" : "innerHTML",
      restoreFocus: false,
      callbacks,
    });
  } finally {
    pairs.end(scope);
  }
  edits.restore();
  for (const [element, top, left] of scrolled) element.scrollTo({ top, left, behavior: "instant" });
  start(scripts);
}

function onlyElement({ childNodes }: DocumentFragment): Element | undefined {
  const nodes = [...childNodes].filter((node) => node instanceof Element || node.nodeValue?.trim());
  return nodes.length === 1 && nodes[0] instanceof Element ? nodes[0] : undefined;
}

/** What other custom elements have in them, where the server has sent nothing, they have made. Ours has the server's. */
const fillsItself = (element: Element): boolean => isCustom(element) && !element.localName.startsWith("instant-");

/** Alpine adds to what the server has sent. */
const isAlpines = ({ attributes }: Element): boolean => [...attributes].some(({ name }) => /^(?:x-|:|@)/.test(name));

function isSame(script: Element, other: Element): boolean {
  const said = ({ textContent }: Element, all: Map<string, string>): string => {
    all.delete("nonce"); // which browsers hide, and which is another one in each answer
    return JSON.stringify([textContent, [...all].sort()]);
  };
  return said(script, attributesOf(script)) === said(other, attributesOf(other));
}

/** What has been scrolled, where the browser forgets it with a move. */
function scrolledIn(root: Element): (readonly [Element, number, number])[] {
  if ("moveBefore" in Element.prototype) return [];
  return [...root.querySelectorAll("*")]
    .map((element) => [element, element.scrollTop, element.scrollLeft] as const)
    .filter(([, top, left]) => top || left);
}
