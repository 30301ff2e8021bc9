// Peer (b): `net` with packages: parse, then answer each package with one write (header and payload joined).
import { createServer } from 'node:net';

import { framed, frameReader } from './frames.mjs';
import { handler } from './handler.mjs';

const server = createServer({ noDelay: true }, (socket) => {
  const push = frameReader((payload) => {
    handler?.();
    socket.write(framed(payload));
  });
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
