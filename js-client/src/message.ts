import type { PublicationContext } from "centrifuge";

import type { Connection } from "./connection.js";
import { isRecord, text } from "./json.js";
import type { InstantMessage } from "./types.js";

/** The keys of which a publication by Django or by a page has at least one. */
const OURS = ["site", "channel", "message", "data", "event_class"];

/**
 * Converts a publication to what listeners get. `tab` is the page's name, and `clients` are its connections: a
 * publication that names one of them is the page's own.
 */
export function toMessage(
  channel: string,
  { tab, clients }: Pick<Connection, "tab" | "clients">,
  { data: content, offset, info }: Pick<PublicationContext, "data" | "offset" | "info">,
  recovered: boolean,
): InstantMessage {
  // Without these keys it was published past Django: all of it is data, and an `id` in it means something else.
  const body = isRecord(content) && OURS.some((key) => key in content) ? content : { data: content as unknown };
  const client = info?.client ?? "";
  return {
    // A broadcast has no channel in its payload, so that of the subscription is taken.
    channel,
    message: text(body["message"]),
    data: body["data"],
    eventClass: text(body["event_class"]),
    bucket: text(body["bucket"]),
    site: text(body["site"]),
    id: text(body["id"]),
    client,
    own: body["tab"] === tab || clients.has(client),
    ...(offset !== undefined && { offset }),
    recovered,
    date: new Date(),
  };
}
