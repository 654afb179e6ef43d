/** AbortSignals that many requests share. */

const followers = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls back when a signal is aborted, at once if it is already. Returns what ends that.
 *
 * A signal gets one listener, however many follow it: Node warns of a leak when one has more than ten.
 */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal === undefined) {
    return () => undefined;
  }
  if (signal.aborted) {
    callback();
    return () => undefined;
  }
  let found = followers.get(signal);
  if (found === undefined) {
    const callbacks = new Set<() => void>();
    followers.set(signal, callbacks);
    const callAll = () => {
      for (const each of [...callbacks]) {
        each();
      }
    };
    signal.addEventListener('abort', callAll, { once: true });
    found = callbacks;
  }
  const callbacks = found.add(callback);
  return () => {
    callbacks.delete(callback);
  };
}
