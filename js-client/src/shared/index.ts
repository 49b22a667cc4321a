/** Tabs that share one connection. The core loads it before the first attempt to connect, if it is switched on. */
export { share } from "./link.js";
