/** `djangoinstant/lite`: for pages that only listen. */
export { createLite, type Lite, type LiteChannel, type LiteOptions } from "./lite.js";
