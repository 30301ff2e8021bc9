// The demo's file client, a process of its own: sends a file, gets it back from what the server wrote, and compares
// digests. It must never exit with 0 unless they are the same.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, writeFileSync } from 'node:fs';
import path from 'node:path';

import { Iocp } from 'iocp';

const { port, host, directory, size } = JSON.parse(process.argv[2]);

async function digest(file) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  return hash.digest('hex');
}

const original = path.join(directory, 'original');
writeFileSync(original, randomBytes(size));
const app = new Iocp({ fileTransfer: { directory, autoAccept: true } });
app.on('fileFailed', (_server, error) => {
  console.error(error.message);
  process.exit(1);
});
const server = await app.connect({ port, host });
const back = new Promise((resolve) => {
  app.on('fileCompleted', (_server, result) => {
    if (result.direction === 'receive') resolve(result);
  });
});
const out = await server.sendFile(original, { name: 'there' });
const returned = await back;
const digests = [await digest(original), await digest(returned.path)];
await app.close();
if (digests[0] !== digests[1]) {
  console.error(`sent ${digests[0]}, got ${digests[1]}`);
  process.exit(1);
}
process.send({ digest: digests[0], outMs: out.durationMs, backMs: returned.durationMs });
await once(process, 'disconnect');
