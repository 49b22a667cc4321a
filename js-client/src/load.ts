import type * as Calls from "./calls/index.js";
import type * as Shared from "./shared/index.js";
import type * as Stored from "./stored/index.js";
import type { CallOptions } from "./types.js";

/** What pages load when they use it first. */
export interface Parts {
  /** What calls Python, publishes, and asks for the history and for people. */
  readonly calls: typeof Calls;
  /** What reads and acknowledges stored messages. */
  readonly stored: typeof Stored;
  /** What lets tabs share one connection. */
  readonly shared: typeof Shared;
}

const PARTS: { readonly [Name in keyof Parts]: () => Promise<Parts[Name]> } = {
  calls: () => import("./calls/index.js"),
  stored: () => import("./stored/index.js"),
  shared: () => import("./shared/index.js"),
};

/** Loads a part; bundlers make a file of its own of it. */
export const load: <Name extends keyof Parts>(name: Name, options?: CallOptions) => Promise<Parts[Name]> = (name) => PARTS[name]();
