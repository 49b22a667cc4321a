import type { Connection } from "../connection.js";
import { isRecord } from "../json.js";
import { createId } from "../tab.js";
import type { CallOptions, TicketState } from "../types.js";
import { ask } from "./ask.js";
import { follow, TICKET, type Follower, type Ticket } from "./follower.js";

/** Milliseconds until the answer. */
const PATIENCE = 10_000;
/** The key in the data that names the call. */
const ID = "instant:id";
const TICKET_KEY = "instant:ticket";

/** A call that has begun. No promise itself, so that it can be what a promise resolves with. */
export interface Running {
  readonly result: Promise<unknown>;
  readonly ticket: Promise<string | undefined>;
  hear(listener: (state: TicketState) => void): void;
  cancel(): Promise<void>;
}

function named(data: unknown, id: string | undefined): unknown {
  if (id === undefined) return data;
  if (!isRecord(data)) throw new TypeError("A call that has an id takes an object");
  return { ...data, [ID]: id };
}

/** Returns the ticket in an answer, if the call was queued. */
function ticketIn(method: string, answer: unknown): Ticket | undefined {
  if (!isRecord(answer)) return undefined;
  if (method !== TICKET) return answer[TICKET_KEY] as Ticket | undefined;
  const state = answer["ticket"] as TicketState;
  return { ...(answer as unknown as Ticket), id: state.id, state };
}

/** Rejects with the signal's reason, if it aborts first. */
async function unlessAborted<Result>(result: Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  if (!signal) return result;
  signal.throwIfAborted();
  const over = new AbortController();
  try {
    return await Promise.race([
      result,
      new Promise<never>((_, reject) => {
        const abort = (): void => {
          reject(signal.reason as Error);
        };
        signal.addEventListener("abort", abort, { signal: over.signal });
      }),
    ]);
  } finally {
    over.abort();
  }
}

/** Calls a method for a user, and follows its ticket if it is queued. See `Instant.rpc()`. */
export function startCall(
  connection: Connection,
  method: string,
  data: unknown,
  options: CallOptions,
  began: number,
  user: string | undefined,
): Running {
  const { signal, timeout = PATIENCE, once = false, id = once ? createId() : undefined } = options;
  const start = async (): Promise<{ answer: unknown; follower: Follower | undefined }> => {
    const answer = await ask(connection, method, named(data, id), { end: began + timeout, signal, isRepeated: once, user });
    const ticket = ticketIn(method, answer);
    return { answer, follower: ticket && follow(connection, method, ticket) };
  };
  const started = start();
  const result = async (): Promise<unknown> => {
    const { answer, follower } = await started;
    if (!follower) return answer;
    const release = follower.hold();
    return unlessAborted(follower.result, signal).finally(release);
  };
  const followed = started.then(
    ({ follower }) => follower,
    () => undefined,
  );
  return {
    result: result(),
    ticket: followed.then((follower) => follower?.id),
    hear(listener) {
      void followed.then((follower) => follower?.hear(listener));
    },
    async cancel() {
      await (await followed)?.cancel();
    },
  };
}
