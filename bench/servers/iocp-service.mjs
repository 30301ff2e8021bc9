// What a logical worker does with packages: the same as iocp.mjs on the main thread.
import { handler } from './handler.mjs';

export function processPackage(context, payload) {
  handler?.();
  if (!context.send(payload)) context.pause();
}

export function processDrain(context) {
  context.resume();
}
