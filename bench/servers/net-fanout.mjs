// Peer: `net`, every package to everybody: framed once, then a loop of socket.write with the same bytes.
import { createServer } from 'node:net';

import { frameReader, framed } from './frames.mjs';

const sockets = new Set();
const server = createServer({ noDelay: true }, (socket) => {
  sockets.add(socket);
  const push = frameReader((payload) => {
    const bytes = framed(payload);
    if (payload.length === 0) socket.write(bytes);
    else for (const each of sockets) each.write(bytes);
  });
  socket.on('data', (slice) => {
    try {
      push(slice);
    } catch (error) {
      socket.destroy(error);
    }
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => sockets.delete(socket));
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  console.log(`listening ${server.address().port}`);
});
