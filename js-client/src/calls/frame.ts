import type { Connection } from "../connection.js";
import { byteLength } from "../size.js";

/** The length of a session's id. */
const ID = " ".repeat(36);

/** Returns how many bytes a command takes on the current transport. */
export function frameSize({ transports }: Connection, command: object): number {
  const data = JSON.stringify({ ...command, id: 2 ** 31 });
  // The transports that use requests put the command into another JSON object, with two ids of the SDK.
  const isRequest = transports.last.startsWith("http");
  return byteLength(isRequest ? JSON.stringify({ session: ID, node: ID, data }) : data);
}

/** True if the message server would close the connection because of the command. */
export function isTooLarge(connection: Connection, command: object): boolean {
  return frameSize(connection, command) >= connection.config.sizeLimit;
}
