// Peer: Bun.listen with packages; the answers of one slice leave in one write, as in net-framed-cork.
import { Output } from './bun-output.mjs';
import { frameReader, joined } from './frames.mjs';
import { handler } from './handler.mjs';

function connected(socket) {
  const output = new Output(socket);
  let answers = [];
  const push = frameReader((payload) => {
    handler?.();
    answers.push(payload);
  });
  socket.data = {
    output,
    receive(slice) {
      push(slice);
      if (answers.length === 0) return;
      const bytes = joined(answers);
      answers = [];
      if (!output.write(bytes)) socket.pause();
    },
  };
}

const server = Bun.listen({
  hostname: '127.0.0.1',
  port: 0,
  socket: {
    open: connected,
    data(socket, slice) {
      try {
        socket.data.receive(slice);
      } catch {
        socket.terminate();
      }
    },
    drain(socket) {
      if (socket.data.output.drain()) socket.resume();
    },
    error(socket) {
      socket.terminate();
    },
  },
});
console.log(`listening ${server.port}`);
