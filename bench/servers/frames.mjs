// Package framing for the `net` peers, as a careful program writes it: no concatenation unless a package straddles
// two slices, no copy of packages that arrived whole. Must stay free of anything a measured server would not need.

const maxLength = 1 << 20;

/** Returns a function that takes slices and calls `onPackage(payload)` for each complete package. */
export function frameReader(onPackage) {
  let parts = []; // slices of a package that is still arriving
  let held = 0; // their bytes
  let wanted = 4; // bytes needed before parsing can go on

  return function push(slice) {
    if (held > 0) {
      parts.push(slice);
      held += slice.length;
      if (held < wanted) return;
      slice = Buffer.concat(parts, held);
      parts = [];
      held = 0;
    }
    let begin = 0;
    for (;;) {
      const left = slice.length - begin;
      wanted = 4;
      if (left >= 4) {
        const length = slice.readUInt32LE(begin);
        if (length > maxLength) throw new RangeError(`package of ${length} bytes`);
        wanted = 4 + length;
      }
      if (left < wanted) break;
      onPackage(slice.subarray(begin + 4, begin + wanted));
      begin += wanted;
    }
    if (begin < slice.length) {
      parts.push(begin === 0 ? slice : slice.subarray(begin));
      held = slice.length - begin;
    }
  };
}

/** Header of an outgoing package. */
export function header(length) {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(length, 0);
  return bytes;
}

/** A package with its header, copied together. */
export function framed(payload) {
  const bytes = Buffer.allocUnsafe(4 + payload.length);
  bytes.writeUInt32LE(payload.length, 0);
  bytes.set(payload, 4);
  return bytes;
}

/** Several packages with their headers, copied together. */
export function joined(payloads) {
  let total = 0;
  for (const payload of payloads) total += 4 + payload.length;
  const bytes = Buffer.allocUnsafe(total);
  let at = 0;
  for (const payload of payloads) {
    bytes.writeUInt32LE(payload.length, at);
    bytes.set(payload, at + 4);
    at += 4 + payload.length;
  }
  return bytes;
}
