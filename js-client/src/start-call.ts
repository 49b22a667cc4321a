import type { Connection } from "./connection.js";
import { load } from "./load.js";
import type { Call, CallOptions, RequestOptions, TicketState } from "./types.js";

/** Calls a method, with a part that is loaded then. See `Instant.rpc()`. */
export function startCall<Result>(connection: Connection, method: string, data: unknown, options: CallOptions = {}): Call<Result> {
  const began = Date.now();
  const { subject } = connection.grants;
  const running = load("calls", options).then(({ startCall: start }) => start(connection, method, data, options, began, subject));
  const nothing = (): undefined => undefined;
  const call: Call<Result> = Object.assign(
    running.then(({ result }) => result as Promise<Result>),
    {
      onProgress(listener: (state: TicketState<Result>) => void) {
        void running.then((begun) => {
          begun.hear(listener as (state: TicketState) => void);
        }, nothing);
        return call;
      },
      cancel: () => running.then((begun) => begun.cancel()),
      ticket: running.then(({ ticket }) => ticket, nothing),
    },
  );
  return call;
}

/** Asks a responder; the channel of its name may have a `$`. See `Instant.request()`. */
export function startRequest<Result>(
  connection: Connection,
  name: string,
  data: unknown,
  options?: RequestOptions,
): Call<Result> {
  return startCall(connection, "instant.request", { name: name.replace("$", ""), data, timeout: options?.within }, options);
}
