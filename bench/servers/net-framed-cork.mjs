// Peer (c): `net` with packages and the answers of one slice gathered into a single write: what a program that was
// tuned for many small packages does. Small answers are copied together; a large one goes out beside its header.
import { createServer } from 'node:net';

import { frameReader, header, joined } from './frames.mjs';
import { handler } from './handler.mjs';

const copyBelow = 16 * 1024; // joining beats a vectored write up to about here

const server = createServer({ noDelay: true }, (socket) => {
  let answers = [];
  let bytes = 0;
  const push = frameReader((payload) => {
    handler?.();
    answers.push(payload);
    bytes += 4 + payload.length;
  });

  function answer() {
    if (answers.length === 0) return;
    if (bytes / answers.length < copyBelow) {
      socket.write(joined(answers));
    } else {
      socket.cork();
      for (const payload of answers) {
        socket.write(header(payload.length));
        socket.write(payload);
      }
      socket.uncork();
    }
    answers = [];
    bytes = 0;
  }

  socket.on('data', (slice) => {
    try {
      push(slice);
    } catch (error) {
      socket.destroy(error);
      return;
    }
    answer();
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
