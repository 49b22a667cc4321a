const SVG = "http://www.w3.org/2000/svg";
const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", Infinity],
] as const;
/** Days after which a date says more than their number. */
const LONG = 7;

/** Creates an element with attributes and children; text is never HTML. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Readonly<Record<string, string>>,
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** The bell, drawn. */
export function bellIcon(): SVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  for (const line of ["M6 9.5a6 6 0 0 1 12 0c0 5 2 6.5 2 6.5H4s2-1.5 2-6.5", "M10 19.5a2.1 2.1 0 0 0 4 0"]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", line);
    svg.append(path);
  }
  return svg;
}

/** How long ago, in the language of the page. */
export function when(iso: string): HTMLTimeElement {
  const date = new Date(iso);
  const language = document.documentElement.lang || undefined;
  const ago = date.getTime() - Date.now();
  const [unit, size] = UNITS.find(([, milliseconds]) => Math.abs(ago) >= milliseconds) ?? UNITS[3];
  const number = Math.round(ago / size); // of seconds none: “now”
  const text =
    unit === "day" && -number > LONG
      ? date.toLocaleDateString(language, { dateStyle: "medium" })
      : new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(number || 0, unit);
  return element("time", { datetime: iso, title: date.toLocaleString(language) }, text);
}
