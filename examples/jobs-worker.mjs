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

export default function processJob({ data: { command, words } }) {
  switch (command) {
    case 'hash':
      return hash(words[0]);
    case 'verify':
      return verify(words[0], words[1]);
    case 'chain':
      return chain(Number(words[0]), words.slice(1).join(' '));
    default:
      throw new Error(`unknown command "${command}": it may be hash, verify, chain or workers`);
  }
}
