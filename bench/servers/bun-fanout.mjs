// Peer: Bun.listen, every package to everybody: framed once, then a loop of writes with the same bytes.
import { Output } from './bun-output.mjs';
import { framed, frameReader } from './frames.mjs';

const sockets = new Set();

function connected(socket) {
  sockets.add(socket);
  const output = new Output(socket);
  const push = frameReader((payload) => {
    const bytes = framed(payload);
    if (payload.length === 0) output.write(bytes);
    else for (const each of sockets) each.data.output.write(bytes);
  });
  socket.data = { output, push };
}

const server = Bun.listen({
  hostname: '127.0.0.1',
  port: 0,
  socket: {
    open: connected,
    data(socket, slice) {
      try {
        socket.data.push(slice);
      } catch {
        socket.terminate();
      }
    },
    drain(socket) {
      socket.data.output.drain();
    },
    close(socket) {
      sockets.delete(socket);
    },
    error(socket) {
      socket.terminate();
    },
  },
});
console.log(`listening ${server.port}`);
