/**
 * `djangoinstant/svelte`: values that are read as `.current`, or as stores (`$status`). A component listens while it
 * reads them, and never on the server.
 */
import { getContext, onMount, setContext } from "svelte";
import { createSubscriber } from "svelte/reactivity";
import { toStore, type Readable } from "svelte/store";

import {
  caller,
  channelState,
  connection,
  liveState,
  NO_CALL,
  NO_CHANNEL,
  NOBODY,
  people,
  status,
  type Begin,
  type ChannelState,
  type LiveStateOptions,
  type RpcCall,
  type RpcName,
  type RpcResult,
  type RpcState,
} from "../hooks/shared.js";
import type { Instant } from "../instant.js";
import type { EventName, InstantMessage, MessageOptions, PayloadOf, Person, Status } from "../types.js";

export type { ChannelState, LiveStateOptions, RpcCall, RpcState };

type Name = string | null | undefined;
/** The name of a channel, or a function that reads it: `() => name`. Without one nothing is listened to. */
export type ChannelName = Name | (() => Name);

/** A value that changes: `value.current`, or `$value`. */
export interface Live<Value> extends Readable<Value> {
  readonly current: Value;
}

const KEY = Symbol.for("instant");
/** A module outside of components has no context. */
function given(): Instant | undefined {
  try {
    return getContext(KEY);
  } catch {
    return undefined;
  }
}
const read = (name: ChannelName): Name => (typeof name === "function" ? name() : name);

/** Gives the components inside a connection; without it they take the page's, `window.instant`. */
export function setInstant(instant: Instant): void {
  setContext(KEY, instant);
}

function live<Value>(name: ChannelName, initial: Value, begin: (name: string) => Begin<Value>): Live<Value> {
  const instant = given();
  let known: Name;
  let get = (): Value => initial;
  const current = (): Value => {
    const now = read(name);
    if (now !== known) {
      let value = initial;
      const subscribe = createSubscriber((update) =>
        now
          ? begin(now)(connection(instant), (next) => {
              value = next;
              update();
            })
          : undefined,
      );
      get = () => {
        subscribe();
        return value;
      };
      known = now;
    }
    return get();
  };
  return readable(current);
}

function readable<Value>(get: () => Value): Live<Value> {
  const { subscribe } = toStore(get);
  return {
    subscribe,
    get current() {
      return get();
    },
  };
}

/** Stays subscribed to a channel while its status is read, and returns it with its status. */
export function useChannel<Data = unknown>(name: ChannelName): Live<ChannelState<Data>> {
  return live<ChannelState<Data>>(name, NO_CHANNEL, channelState);
}

/** Calls `listener` with each message of an event class, while the component is in the page; `"*"` stands for all. */
export function useEvent<Event extends EventName, Data = unknown>(
  name: ChannelName,
  event: Event,
  listener: (message: InstantMessage<PayloadOf<Event, Data>>) => unknown,
  options: Pick<MessageOptions, "own"> = {},
): void {
  const instant = given();
  onMount(() => {
    let end: (() => void) | undefined;
    const stop = toStore(() => read(name)).subscribe((now) => {
      end?.();
      end = now ? connection(instant).channel<Data>(now).on(event, listener, options) : undefined;
    });
    return () => {
      stop();
      end?.();
    };
  });
}

/** Returns who is in a channel. */
export function usePresence(name: ChannelName): Live<readonly Person[]> {
  return live(name, NOBODY, people);
}

/** Returns the state of the page's connection. */
export function useStatus(): Live<Status> {
  return live<Status>(" ", "idle", () => status);
}

/** Returns the state of a channel, see `Channel.state()`; `initial` until there is one. */
export function useLiveState<State, Data = State>(
  name: ChannelName,
  { initial, reduce }: LiveStateOptions<State, Data> = {},
): Live<State | undefined> {
  return live<State | undefined>(name, initial, (now) => liveState<State, Data>(now, () => reduce));
}

/** Returns a function that calls a method, and what its last call has come to. */
export function useRpc<Result = unknown, Method extends RpcName = RpcName>(
  method: Method,
): Live<RpcState<RpcResult<Method, Result>>> & { readonly call: RpcCall<Method, Result> } {
  const instant = given();
  let state: RpcState<unknown> = NO_CALL;
  let changed: (() => void) | undefined;
  const subscribe = createSubscriber((update) => {
    changed = update;
  });
  const call = caller(method, () => connection(instant), (next) => {
    state = next;
    changed?.();
  });
  const value = readable(() => {
    subscribe();
    return state;
  });
  return Object.defineProperty({ subscribe: value.subscribe, call }, "current", { get: () => value.current }) as never;
}
