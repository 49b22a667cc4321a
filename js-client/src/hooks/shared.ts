/** What the hooks of all frameworks have in common: from a channel's name to values that change. */
import type { Channel } from "../channel.js";
import type { Instant } from "../instant.js";
import type { Given, InstantMethods, ResultOf } from "../methods.js";
import type { Call, CallOptions, ChannelStatus, Denial, InstantMessage, Person, StateOptions, Status } from "../types.js";

/** A channel, and whether its messages arrive. */
export interface ChannelState<Data = unknown> {
  /** `undefined` on the server, before the component is in the page, and without a name. */
  readonly channel: Channel<Data> | undefined;
  readonly status: ChannelStatus;
  readonly denial: Denial | undefined;
}

/** Options of `useLiveState()`. */
export interface LiveStateOptions<State, Data> extends Pick<StateOptions<State, Data>, "reduce"> {
  /** The state until the first one is there, on the server too. */
  readonly initial?: State;
}

/** What the last call of `useRpc()` has come to. */
export interface RpcState<Result> {
  readonly result: Result | undefined;
  readonly error: unknown;
  readonly isPending: boolean;
}

/** Calls the method of a `useRpc()`. */
export type RpcCall<Name extends string, Result> = Name extends keyof InstantMethods
  ? (...given: Given<Name, CallOptions>) => Call<ResultOf<Name>>
  : (data?: unknown, options?: CallOptions) => Call<Result>;

/** What a `useRpc()` resolves with: what is declared, else what the caller says. */
export type RpcResult<Name extends string, Result> = Name extends keyof InstantMethods ? ResultOf<Name> : Result;

/** The method of a `useRpc()`: any, until `InstantMethods` has entries. */
// eslint-disable-next-line @typescript-eslint/no-redundant-type-constituents -- empty here, filled by the application
export type RpcName = [keyof InstantMethods] extends [never] ? string : keyof InstantMethods & string;

type Set<Value> = (value: Value) => void;
/** Begins to set a value; returns what ends that. */
export type Begin<Value> = (instant: Instant, set: Set<Value>) => () => void;

export const NO_CHANNEL: ChannelState<never> = { channel: undefined, status: "idle", denial: undefined };
export const NOBODY: readonly Person[] = [];
export const NO_CALL: RpcState<never> = { result: undefined, error: undefined, isPending: false };

/** Returns the connection that was given, else the page's. */
export function connection(given?: Instant): Instant {
  const found = given ?? (globalThis as { instant?: Instant }).instant;
  if (!found) throw new Error("No Instant: provide one, or put {% instant_script %} into the page.");
  return found;
}

export const channelState =
  <Data>(name: string): Begin<ChannelState<Data>> =>
  (instant, set) => {
    const channel = instant.channel<Data>(name);
    const tell = (): void => {
      set({ channel, status: channel.status, denial: channel.denial });
    };
    const end = channel.onStatus(tell);
    tell();
    return end;
  };

export const people =
  (name: string): Begin<readonly Person[]> =>
  (instant, set) =>
    instant.channel(name).onPresence((presence) => {
      set(presence.people);
    });

export const status: Begin<Status> = (instant, set) => {
  set(instant.status);
  return instant.on("status", set);
};

/** `reduce` is looked up for each message. */
export const liveState =
  <State, Data>(
    name: string,
    reduce: () => ((state: State, message: InstantMessage<Data>) => State) | undefined,
  ): Begin<State | undefined> =>
  (instant, set) =>
    instant.channel<Data>(name).state<State>(set, {
      reduce: (state, message) => {
        const use = reduce();
        return use ? use(state, message) : ((message.data as State | undefined) ?? state);
      },
    });

/** Returns a function that calls a method and tells how the newest call goes. */
export function caller<Result>(
  method: string,
  instant: () => Instant,
  set: Set<RpcState<Result>>,
): (data?: unknown, options?: CallOptions) => Call<Result> {
  let newest = 0;
  return (data, options) => {
    const number = (newest += 1);
    const call = instant().rpc(method as never, data as never, options as never) as Call<Result>;
    const tell = (state: Partial<RpcState<Result>>): void => {
      if (number === newest) set({ ...NO_CALL, ...state });
    };
    tell({ isPending: true });
    call.then((result) => { tell({ result }); }, (error: unknown) => { tell({ error }); });
    return call;
  };
}
