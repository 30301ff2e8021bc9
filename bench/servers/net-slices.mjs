// Peer (a): a plain `net` echo server that returns whatever slice arrived. It knows nothing of packages, so it
// does less than the framed servers: the floor that Node.js' own streams set.
import { createServer } from 'node:net';

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('data', (slice) => {
    if (!socket.write(slice)) {
      socket.pause();
      socket.once('drain', () => socket.resume());
    }
  });
  socket.on('error', () => socket.destroy());
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  console.log(`listening ${server.address().port}`);
});
