import type * as Calls from "./calls/index.js";
import type { CallOptions } from "./types.js";

/** Loads what pages need that call Python or publish; bundlers make a file of its own of it. */
export const loadCalls: (options?: CallOptions) => Promise<typeof Calls> = () => import("./calls/index.js");
