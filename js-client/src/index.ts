// What the package promises. Not here on purpose: the page's config, the HTTP layer and the grants.
export { Channel } from "./channel.js";
export {
  ChannelError,
  ConfigError,
  ConnectError,
  InstantError,
  RefusedError,
  ReplyError,
  RequestError,
  SignedOutError,
  SupersededError,
} from "./errors.js";
export { createInstant, type Instant } from "./instant.js";
export { useInstant, type InstantClient, type Message } from "./legacy.js";
export { defineStatusElement } from "./status-element.js";
// A star, so that `declare module "djangoinstant"` can add to `InstantEvents`.
export type * from "./types.js";
