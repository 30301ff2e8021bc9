// Peer: Bun.listen, echoes whatever slice arrived; knows nothing of packages, so it does less than asked.
import { Output } from './bun-output.mjs';

const server = Bun.listen({
  hostname: '127.0.0.1',
  port: 0,
  socket: {
    open(socket) {
      socket.data = new Output(socket);
    },
    data(socket, slice) {
      if (!socket.data.write(slice)) socket.pause();
    },
    drain(socket) {
      if (socket.data.drain()) socket.resume();
    },
    error(socket) {
      socket.terminate();
    },
  },
});
console.log(`listening ${server.port}`);
