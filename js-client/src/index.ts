// The public names. Everything else is internal.
export { Channel } from "./channel.js";
export {
  ChannelError,
  ConfigError,
  ConnectError,
  InstantError,
  RefusedError,
  ReplyError,
  RequestError,
  RpcError,
  SignedOutError,
  SupersededError,
} from "./errors.js";
export { createInstant, type Instant } from "./instant.js";
export { useInstant, type InstantClient, type Message } from "./legacy.js";
export { defineStatusElement } from "./status-element.js";
// Exported with a star, so that `declare module "djangoinstant"` can extend `InstantEvents`.
export type * from "./methods.js";
export type * from "./options.js";
export type * from "./types.js";
