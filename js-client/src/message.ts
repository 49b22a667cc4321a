import type { PublicationContext } from "centrifuge";

import { isRecord, text } from "./json.js";
import type { InstantMessage } from "./types.js";

/** The keys of which a publication by Django or by a page has at least one. */
const OURS = ["site", "channel", "message", "data", "event_class"];

/** Converts a publication to what listeners get. `tab` is the page's name: a publication with it is the page's own. */
export function toMessage(
  channel: string,
  tab: string,
  { data: content, offset }: Pick<PublicationContext, "data" | "offset">,
  recovered: boolean,
): InstantMessage {
  // Without these keys it was published past Django: all of it is data, and an `id` in it means something else.
  const body = isRecord(content) && OURS.some((key) => key in content) ? content : { data: content as unknown };
  return {
    // A broadcast has no channel in its payload, so that of the subscription is taken.
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
