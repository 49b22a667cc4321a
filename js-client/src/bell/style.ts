/**
 * The bell's style. Colours are the page's own (`color-scheme`), unless a custom property says otherwise. A style sheet
 * that a script constructs needs no permission of a Content Security Policy.
 */
export const STYLE = `
:host {
  --_ink: var(--instant-bell-color, CanvasText);
  --_paper: var(--instant-bell-background, Canvas);
  --_soft: var(--instant-bell-muted, color-mix(in srgb, var(--_ink) 68%, var(--_paper)));
  --_line: var(--instant-bell-border, color-mix(in srgb, var(--_ink) 16%, var(--_paper)));
  --_accent: var(--instant-bell-accent, light-dark(#1a5fb4, #8ab8ff));
  --_tint: var(--instant-bell-unread, color-mix(in srgb, var(--_accent) 8%, var(--_paper)));
  --_badge: var(--instant-bell-badge, light-dark(#b3261e, #ffb4ab));
  --_on-badge: var(--instant-bell-on-badge, light-dark(#fff, #561e19));
  --_round: var(--instant-bell-radius, 0.625rem);
  position: relative;
  display: inline-block;
  font-size: 1rem;
  line-height: 1.4;
}
:host([hidden]) { display: none; }
*, ::before { box-sizing: border-box; }
[hidden] { display: none !important; }
button { font: inherit; color: inherit; cursor: pointer; }
:focus-visible { outline: 0.1875rem solid var(--_accent); outline-offset: 0.125rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.bell { position: relative; display: grid; place-items: center; width: 2.75rem; height: 2.75rem; padding: 0; border: 0; border-radius: 50%; background: none; }
.bell:hover, .bell[aria-expanded="true"] { background: color-mix(in srgb, currentColor 9%, transparent); }
.bell svg { width: 1.375rem; height: 1.375rem; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
.badge { position: absolute; inset-block-start: 0.125rem; inset-inline-start: 1.375rem; min-width: 1.25rem; padding: 0 0.3125rem; border-radius: 1rem; background: var(--_badge); color: var(--_on-badge); font: 700 0.75rem/1.25rem system-ui, sans-serif; font-variant-numeric: tabular-nums; text-align: center; }

.panel { position: absolute; z-index: var(--instant-bell-layer, 1000); inset-block-start: calc(100% + 0.375rem); inset-inline-end: 0; display: flex; flex-direction: column; width: min(24rem, 92vw); max-height: min(34rem, 75vh); overflow: hidden; border: 1px solid var(--_line); border-radius: var(--_round); background: var(--_paper); color: var(--_ink); box-shadow: 0 0.75rem 2.5rem rgb(0 0 0 / 0.18); font-size: 0.9375rem; text-align: start; }
:host([align="start"]) .panel { inset-inline: 0 auto; }
.panel:focus { outline: none; }
.head { display: flex; align-items: center; justify-content: space-between; gap: 0.75rem; min-height: 3.25rem; padding: 0 1rem; border-block-end: 1px solid var(--_line); }
.head h2 { margin: 0; font-size: 1.0625rem; font-weight: 650; }
.quiet { min-height: 2.75rem; padding: 0 0.25rem; border: 0; background: none; color: var(--_accent); font-size: 0.875rem; font-weight: 550; }
.quiet:hover { text-decoration: underline; text-underline-offset: 0.2em; }
.body { overflow-y: auto; overscroll-behavior: contain; }
ul { margin: 0; padding: 0; list-style: none; }
li + li { border-block-start: 1px solid var(--_line); }
.one { position: relative; display: block; width: 100%; padding: 0.75rem 1rem 0.75rem 1.75rem; border: 0; background: none; color: inherit; text-align: start; text-decoration: none; overflow-wrap: anywhere; }
.one:hover { background: color-mix(in srgb, var(--_ink) 5%, transparent); }
.one:focus-visible { outline-offset: -0.1875rem; }
.unread { background: var(--_tint); }
.unread::before { content: ""; position: absolute; inset-block-start: 1.125rem; inset-inline-start: 0.6875rem; width: 0.5rem; height: 0.5rem; border-radius: 50%; background: var(--_accent); }
.unread .title { font-weight: 650; }
.title, .text, time { display: block; }
.text { margin-block-start: 0.125rem; color: var(--_soft); }
time { margin-block-start: 0.25rem; color: var(--_soft); font-size: 0.8125rem; }
.note { margin: 0; padding: 2.5rem 1.5rem; color: var(--_soft); text-align: center; }
.foot { padding: 0.25rem; border-block-start: 1px solid var(--_line); text-align: center; }
.push { flex: none; border-block-start: 1px solid var(--_line); }
.switch { display: flex; align-items: center; justify-content: space-between; gap: 1rem; width: 100%; min-height: 3rem; padding: 0.25rem 1rem; border: 0; background: none; font-size: 0.875rem; text-align: start; }
.switch:hover { background: color-mix(in srgb, var(--_ink) 5%, transparent); }
.switch:focus-visible { outline-offset: -0.1875rem; }
.switch[aria-busy] { cursor: progress; opacity: 0.6; }
.track { flex: none; width: 2.25rem; height: 1.25rem; padding: 0.125rem; border: 1px solid var(--_soft); border-radius: 1rem; }
.track::before { content: ""; display: block; height: 100%; aspect-ratio: 1; border-radius: 50%; background: var(--_soft); }
[aria-checked="true"] .track { border-color: var(--_accent); background: var(--_accent); }
[aria-checked="true"] .track::before { margin-inline-start: auto; background: var(--_paper); }
.why { margin: 0; padding: 0 1rem 0.75rem; color: var(--_soft); font-size: 0.8125rem; }
.why:empty { display: none; }

@media (max-width: 30rem) {
  .panel, :host([align="start"]) .panel { position: fixed; inset: auto 0 0; width: auto; max-height: 80vh; border-width: 1px 0 0; border-radius: 1rem 1rem 0 0; padding-block-end: env(safe-area-inset-bottom); box-shadow: 0 0 0 100vmax rgb(0 0 0 / 0.4); }
}
@media (forced-colors: active) {
  .badge { border: 1px solid; }
  .unread::before { background: Highlight; }
  .track::before { background: ButtonText; }
  [aria-checked="true"] .track { background: Highlight; }
}
@media (prefers-reduced-motion: no-preference) {
  .ring svg { transform-origin: 50% 10%; animation: ring 0.6s ease-out; }
  @keyframes ring { 20% { transform: rotate(12deg); } 50% { transform: rotate(-9deg); } 75% { transform: rotate(5deg); } }
}
`;
