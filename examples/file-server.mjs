// Serves the files of one directory: a client sends a name, and gets the file, or a text that says why not.
// node examples/file-server.mjs [directory] [port]
import { join } from 'node:path';

import { Iocp } from 'iocp';
import { safeFileName, text } from 'iocp/packages';

const [directory = '.', port = '0'] = process.argv.slice(2);
const GET = 64; // the type of our own request: this byte, then the name

const server = new Iocp({ fileTransfer: true });

server.on('package', async (client, payload) => {
  if (payload[0] !== GET) return;
  const name = safeFileName(payload.toString('utf8', 1));
  if ('problem' in name) return client.send(text(name.problem));
  try {
    await client.sendFile(join(directory, name.name));
  } catch (error) {
    client.send(text(error.message));
  }
});

server.on('fileCompleted', (client, { name, bytesTransferred, durationMs }) => {
  console.error(
    `${client.remoteAddress} got ${name}: ${bytesTransferred} bytes, ${Math.round(durationMs)} ms`,
  );
});

const address = await server.listen({ host: '127.0.0.1', port: Number(port) });
console.log(`serving ${directory} on ${address.address}:${address.port}`);

process.once('SIGTERM', () => server.close());
process.once('SIGINT', () => server.close());
