import type { PublicationContext } from "centrifuge";

import { isRecord, text } from "./json.js";
import type { InstantMessage } from "./types.js";

/** What tells a publication of Django or of a page, or one that is made like them. */
const OURS = ["site", "channel", "message", "data", "event_class"];

/** A publication as listeners see it; `tab` is the page's own name, what carries it is an echo. */
export function toMessage(
  channel: string,
  tab: string,
  { data: content, offset }: Pick<PublicationContext, "data" | "offset">,
  recovered: boolean,
): InstantMessage {
  // Somebody may publish past Django: then the whole content is the data, and an `id` in it no message's.
  const body = isRecord(content) && OURS.some((key) => key in content) ? content : { data: content as unknown };
  return {
    // A broadcast names no channel: the one it came through is the one that counts.
    channel,
    message: text(body["message"]),
    data: body["data"],
    eventClass: text(body["event_class"]),
    bucket: text(body["bucket"]),
    site: text(body["site"]),
    id: text(body["id"]),
    own: body["tab"] === tab,
    ...(offset !== undefined && { offset }),
    recovered,
    date: new Date(),
  };
}
