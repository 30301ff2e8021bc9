// Peer (b): `net` with packages: parse, then answer each package with one write (header and payload joined).
import { createServer } from 'node:net';

import { frameReader } from './frames.mjs';

function framed(payload) {
  const bytes = Buffer.allocUnsafe(4 + payload.length);
  bytes.writeUInt32LE(payload.length, 0);
  bytes.set(payload, 4);
  return bytes;
}

const server = createServer({ noDelay: true }, (socket) => {
  const push = frameReader((payload) => socket.write(framed(payload)));
  socket.on('data', (slice) => {
    try {
      push(slice);
    } catch (error) {
      socket.destroy(error);
      return;
    }
    if (socket.writableNeedDrain) {
      socket.pause();
      socket.once('drain', () => socket.resume());
    }
  });
  socket.on('error', () => socket.destroy());
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  console.log(`listening ${server.address().port}`);
});
