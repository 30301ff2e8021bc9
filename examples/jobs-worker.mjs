// What the logical workers of jobs.mjs do with a job. Runs in threads of its own: nothing here is shared with the
// server but what comes and goes as data.
import { createHash, randomBytes, scryptSync, timingSafeEqual } from 'node:crypto';

const KEY_BYTES = 32;

function hash(password, salt = randomBytes(16)) {
  return `${salt.toString('base64url')}.${scryptSync(password, salt, KEY_BYTES).toString('base64url')}`;
}

function verify(password, stored) {
  const [salt, key] = stored.split('.').map((part) => Buffer.from(part, 'base64url'));
  const wanted = scryptSync(password, salt, KEY_BYTES);
  return key?.length === KEY_BYTES && timingSafeEqual(key, wanted) ? 'yes' : 'no';
}

function chain(rounds, text) {
  let digest = Buffer.from(text);
  for (let round = 0; round < rounds; round++) {
    digest = createHash('sha256').update(digest).digest();
  }
  return digest.toString('hex');
}

/** Grey pixels, row by row: how soon each point leaves the Mandelbrot set. */
function draw(width, height) {
  if (!(width >= 9 && height >= 8 && width * height <= 16e6)) {
    throw new RangeError('a picture has at least 9 x 8 pixels, and at most 16 million');
  }
  const pixels = new Uint8Array(width * height);
  for (let at = 0; at < pixels.length; at++) {
    const x0 = ((at % width) / width) * 3.5 - 2.5;
    const y0 = (Math.floor(at / width) / height) * 2 - 1;
    let [x, y, step] = [0, 0, 0];
    for (; step < 255 && x * x + y * y <= 4; step++) {
      [x, y] = [x * x - y * y + x0, 2 * x * y + y0];
    }
    pixels[at] = step;
  }
  return pixels;
}

/** Shrinks a picture to 9 x 8 means, and has one bit for each two neighbours: is the right one brighter? */
function fingerprint(pixels, width, height) {
  const sums = new Float64Array(9 * 8);
  const counts = new Uint32Array(9 * 8);
  for (let at = 0; at < pixels.length; at++) {
    const column = Math.floor(((at % width) * 9) / width);
    const row = Math.floor((Math.floor(at / width) * 8) / height);
    sums[row * 9 + column] += pixels[at];
    counts[row * 9 + column]++;
  }
  let bits = 0n;
  for (let row = 0; row < 8; row++) {
    for (let at = row * 9; at < row * 9 + 8; at++) {
      const brighter = sums[at + 1] / counts[at + 1] > sums[at] / counts[at];
      bits = (bits << 1n) | (brighter ? 1n : 0n);
    }
  }
  return bits.toString(16).padStart(16, '0');
}

export default function processJob({ data }, engine) {
  const { command, words, width, height, pixels } = data;
  switch (command) {
    case 'hash':
      return hash(words[0]);
    case 'verify':
      return verify(words[0], words[1]);
    case 'chain':
      return chain(Number(words[0]), words.slice(1).join(' '));
    case 'draw': {
      const drawn = draw(width, height);
      return engine.move(drawn, [drawn.buffer]);
    }
    case 'fingerprint':
      return fingerprint(pixels, width, height);
    default:
      throw new Error(`unknown command "${command}": hash, verify, chain, image or workers`);
  }
}
