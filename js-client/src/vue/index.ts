/** `djangoinstant/vue`: composables. A component listens while it is in the page, and never on the server. */
import {
  getCurrentInstance,
  hasInjectionContext,
  inject,
  onActivated,
  onDeactivated,
  onMounted,
  shallowReadonly,
  shallowRef,
  toValue,
  watch,
  type App,
  type InjectionKey,
  type MaybeRefOrGetter,
  type Plugin,
  type ShallowRef,
} from "vue";

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

/** The name of a channel, a ref, or a function that returns it; without one nothing is listened to. */
export type ChannelName = MaybeRefOrGetter<string | null | undefined>;
type Live<Value> = Readonly<ShallowRef<Value>>;

/** What `provide()` gives the connection by; without it it is the page's, `window.instant`. */
export const InstantKey: InjectionKey<Instant> = Symbol("instant");

/** `app.use(instantPlugin(instant))` */
export const instantPlugin = (instant: Instant): Plugin => (app: App) => app.provide(InstantKey, instant);

const given = (): Instant | undefined => (hasInjectionContext() ? inject(InstantKey, undefined) : undefined);

/** Keeps what `begin` does for a key up while the component is in the page, or a scope outside of one lives. */
function useWhile<Key>(key: () => Key, begin: (instant: Instant, key: Key) => (() => void) | undefined): void {
  const instant = given();
  const isHere = shallowRef(false);
  const come = (): void => { isHere.value = true; };
  // On the server it is never called, and a watch does nothing there.
  watch([key, isHere] as const, ([now, here], _, clean) => {
    const end = here && begin(connection(instant), now);
    if (end) clean(end);
  });
  if (!getCurrentInstance()) {
    if (typeof document !== "undefined") come();
    return;
  }
  onMounted(come);
  onActivated(come);
  onDeactivated(() => { isHere.value = false; });
}

function useValue<Value>(name: ChannelName, initial: Value, begin: (name: string) => Begin<Value>): Live<Value> {
  const value = shallowRef(initial);
  let last = toValue(name);
  useWhile(
    () => toValue(name),
    (instant, now) => {
      // Kept alive and shown again, it begins with what it had.
      if (now !== last) value.value = initial;
      last = now;
      return now ? begin(now)(instant, (next) => { value.value = next; }) : undefined;
    },
  );
  return shallowReadonly(value);
}

/** Stays subscribed to a channel, and returns it with its status. */
export function useChannel<Data = unknown>(name: ChannelName): Live<ChannelState<Data>> {
  return useValue<ChannelState<Data>>(name, NO_CHANNEL, channelState);
}

/** Calls `listener` with each message of an event class; `"*"` stands for all. */
export function useEvent<Name extends EventName, Data = unknown>(
  name: ChannelName,
  event: Name,
  listener: (message: InstantMessage<PayloadOf<Name, Data>>) => unknown,
  options: Pick<MessageOptions, "own"> = {},
): void {
  useWhile(
    () => toValue(name),
    (instant, now) => (now ? instant.channel<Data>(now).on(event, listener, options) : undefined),
  );
}

/** Returns who is in a channel. */
export function usePresence(name: ChannelName): Live<readonly Person[]> {
  return useValue(name, NOBODY, people);
}

/** Returns the state of the page's connection. */
export function useStatus(): Live<Status> {
  return useValue<Status>(" ", "idle", () => status);
}

/** Returns the state of a channel, see `Channel.state()`; `initial` until there is one. */
export function useLiveState<State, Data = State>(
  name: ChannelName,
  { initial, reduce }: LiveStateOptions<State, Data> = {},
): Live<State | undefined> {
  return useValue<State | undefined>(name, initial, (now) => liveState<State, Data>(now, () => reduce));
}

/** Returns a function that calls a method, and what its last call has come to. */
export function useRpc<Result = unknown, Name extends RpcName = RpcName>(
  method: Name,
): { readonly state: Live<RpcState<RpcResult<Name, Result>>>; readonly call: RpcCall<Name, Result> } {
  const instant = given();
  const state = shallowRef<RpcState<unknown>>(NO_CALL);
  const call = caller(method, () => connection(instant), (next) => { state.value = next; });
  return { state: shallowReadonly(state), call } as never;
}
