"use client";
/** `djangoinstant/react`: hooks. A component listens while it is in the page, and never on the server. */
import { createContext, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";

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

/** The name of a channel; without one nothing is listened to. */
export type ChannelName = string | null | undefined;

/** The connection of the components inside; without it the page's, `window.instant`. */
export const InstantContext = createContext<Instant | undefined>(undefined);

const nothing = (): undefined => undefined;

/** Returns the newest value that `begin` has set for the key; it begins when the component is in the page. */
function useValue<Value>(key: unknown, initial: Value, begin: Begin<Value> | undefined): Value {
  const given = useContext(InstantContext);
  const [subscribe, get] = useMemo(() => {
    let value = initial;
    const listen = (changed: () => void): (() => void) =>
      begin
        ? begin(connection(given), (next) => {
            value = next;
            changed();
          })
        : nothing;
    return [listen, () => value] as const;
    // What begins is named by the key.
  }, [given, key]);
  // What hydrates must be what the server has sent.
  const first = useRef(initial);
  return useSyncExternalStore(subscribe, get, () => first.current);
}

/** A function's newest version, for those that outlive a render. */
function useNewest<Value>(value: Value): { readonly current: Value } {
  const newest = useRef(value);
  useEffect(() => {
    newest.current = value;
  });
  return newest;
}

/** Stays subscribed to a channel, and returns it with its status. */
export function useChannel<Data = unknown>(name: ChannelName): ChannelState<Data> {
  return useValue<ChannelState<Data>>(name, NO_CHANNEL, name ? channelState<Data>(name) : undefined);
}

/** Calls the newest `listener` with each message of an event class; `"*"` stands for all. */
export function useEvent<Name extends EventName, Data = unknown>(
  name: ChannelName,
  event: Name,
  listener: (message: InstantMessage<PayloadOf<Name, Data>>) => unknown,
  { own = true }: Pick<MessageOptions, "own"> = {},
): void {
  const given = useContext(InstantContext);
  const newest = useNewest(listener);
  useEffect(
    () => (name ? connection(given).channel<Data>(name).on(event, (message) => newest.current(message), { own }) : undefined),
    [given, name, event, own, newest],
  );
}

/** Returns who is in a channel. */
export function usePresence(name: ChannelName): readonly Person[] {
  return useValue(name, NOBODY, name ? people(name) : undefined);
}

/** Returns the state of the page's connection. */
export function useStatus(): Status {
  return useValue<Status>(0, "idle", status);
}

/** Returns the state of a channel, see `Channel.state()`; `initial` until there is one. */
export function useLiveState<State, Data = State>(
  name: ChannelName,
  { initial, reduce }: LiveStateOptions<State, Data> = {},
): State | undefined {
  const newest = useNewest(reduce);
  return useValue<State | undefined>(name, initial, name ? liveState<State, Data>(name, () => newest.current) : undefined);
}

/** How many functions were made that call a method; a newer one has a higher number. */
let callers = 0;

/** Returns a function that calls a method, and what its last call has come to. */
export function useRpc<Result = unknown, Name extends RpcName = RpcName>(
  method: Name,
): RpcState<RpcResult<Name, Result>> & { readonly call: RpcCall<Name, Result> } {
  const given = useContext(InstantContext);
  const [[of, state], set] = useState<readonly [number, RpcState<unknown>]>([0, NO_CALL]);
  const [number, call] = useMemo(() => {
    const own = (callers += 1);
    // A late answer of the method before is nobody's any more.
    const tell = (next: RpcState<unknown>): void => { set((now) => (now[0] > own ? now : [own, next])); };
    return [own, caller(method, () => connection(given), tell)] as const;
  }, [given, method]);
  return { ...(of === number ? state : NO_CALL), call } as never;
}
