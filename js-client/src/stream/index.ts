/** `djangoinstant/stream`: text that grows, for pages that a bundler makes. */
import type { Channel } from "../channel.js";
import type { Instant } from "../instant.js";
import { defineStream as define, type InstantStreamElement, type StreamTexts } from "./element.js";
import { TextStream, type StreamOptions, type StreamUrls } from "./text-stream.js";

export type { InstantStreamElement, StreamTexts };
export { StreamError, TextStream } from "./text-stream.js";
export type { StreamOptions, StreamStart, StreamState, StreamUpdate, StreamUrls } from "./text-stream.js";

/** Returns the text that Django writes to a channel with `stream()`: `stream(instant.channel("answer:42"))`. */
export function stream(channel: Channel, options?: StreamOptions): TextStream {
  return new TextStream(channel, options);
}

/** Defines `<instant-stream channel="…">`, which shows such a text. */
export function defineStream(instant: Instant, { urls, texts }: { readonly urls?: StreamUrls; readonly texts: StreamTexts }): void {
  define(instant, texts, urls);
}
