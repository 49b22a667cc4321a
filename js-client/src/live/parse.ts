const WRAPPED: Readonly<Record<string, string>> = {
  "http://www.w3.org/2000/svg": "svg",
  "http://www.w3.org/1998/Math/MathML": "math",
};

interface Policy {
  createHTML(html: string): string;
}
let policy: Policy | undefined;

/**
 * Returns what HTML stands for inside of a parent: `<tr>` and `<option>` are themselves wherever they come from, and
 * inside of SVG its elements are SVG. No script in it runs when it is put into the page.
 */
export function parse(html: string, parent: Element): DocumentFragment {
  // Inside of <foreignObject> is HTML.
  const wrapper = parent.localName === "foreignObject" ? undefined : WRAPPED[parent.namespaceURI ?? ""];
  const template = document.createElement("template");
  const text = trusted(clonable(wrapper ? `<${wrapper}>${html}</${wrapper}>` : html));
  // With it a <template shadowrootmode> becomes a shadow root, as it does while a page is loaded.
  if ("setHTMLUnsafe" in template) template.setHTMLUnsafe(text);
  else (template as HTMLTemplateElement).innerHTML = text;
  const { content } = template;
  if (wrapper) content.firstElementChild?.replaceWith(...content.firstElementChild.childNodes);
  return content;
}

/** Says of shadow roots in HTML that they are copied with their elements, as a morph does. */
const clonable = (html: string): string => html.replace(/<template(?=[^>]*\sshadowrootmode)/gi, "<template shadowrootclonable");

/** Where the page demands Trusted Types, its policy has to name ours: `trusted-types instant`. */
function trusted(html: string): string {
  const { trustedTypes } = window as {
    trustedTypes?: { createPolicy(name: string, rules: Policy): Policy };
  };
  if (!trustedTypes) return html;
  policy ??= trustedTypes.createPolicy("instant", { createHTML: (text) => text });
  return policy.createHTML(html);
}
