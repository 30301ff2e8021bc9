// The demo's packages: which sizes, which bytes. Both follow from (seed, connection, number of the package) alone, so
// the receiver knows every byte that must come back without keeping any. Must stay free of randomness and of state.

const mebibyte = 1 << 20;

function hash(...numbers) {
  let state = 0x811c9dc5;
  for (const number of numbers) {
    state = Math.imul(state ^ number, 0x85ebca6b);
    state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
    state ^= state >>> 16;
  }
  return state >>> 0;
}

/** Makes `packageOf(connection, number)`, a view of one block of pseudo-random bytes. */
export function packages(seed) {
  const words = new Uint32Array((2 * mebibyte) / 4);
  let state = hash(seed, 1) | 1;
  for (let i = 0; i < words.length; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  const block = Buffer.from(words.buffer);

  return function packageOf(connection, number) {
    const size = sizeOf(seed, connection, number);
    const begin = hash(seed, connection, number, 3) % mebibyte;
    return block.subarray(begin, begin + size);
  };
}

/** Mostly small, some up to 64 KiB, a few of 1 MiB; every connection begins with an empty package and a full 64 KiB. */
function sizeOf(seed, connection, number) {
  if (number === 0) return 0;
  if (number === 1) return 65_536;
  const dice = hash(seed, connection, number, 2);
  const fraction = hash(seed, connection, number, 4) / 2 ** 32;
  if (dice % 2000 === 0) return mebibyte;
  if (dice % 20 === 0) return Math.floor(fraction * 65_537);
  if (dice % 4 === 0) return Math.floor(fraction * 4097);
  return Math.floor(fraction * 257);
}
