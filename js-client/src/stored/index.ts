/** What pages need that acknowledge stored messages. It is loaded when it is used first. */
export { acknowledge } from "./acknowledgements.js";
export { keep } from "./keeper.js";
export { outstanding } from "./outstanding.js";
