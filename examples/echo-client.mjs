// Sends each argument as one package to an echo server and checks that it comes back.
//   node examples/echo-client.mjs <port> hello world
import { once } from 'node:events';

import { Iocp } from 'iocp';

const [port, ...words] = process.argv.slice(2);
if (port === undefined || words.length === 0) {
  console.error('usage: node examples/echo-client.mjs <port> <text>…');
  process.exit(2);
}

const app = new Iocp();
const server = await app.connect({ port: Number(port), host: '127.0.0.1' });
for (const word of words) {
  const answered = once(app, 'package', { signal: AbortSignal.timeout(5000) });
  server.send(word);
  const [, payload] = await answered;
  if (payload.toString() !== word) throw new Error(`sent ${word}, got ${payload}`);
  console.log(`echoed ${payload}`);
}
await app.close();
