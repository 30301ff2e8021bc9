// The other end of the soak tests: a child process with plain `net` sockets, no code of ours but the framing by hand.
// Told by its parent what to do, one message at a time; answers each with one message.
import net from 'node:net';

let sockets = [];

function connect(port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true }, () => resolve(socket));
    socket.once('error', reject);
  });
}

async function connectMany(port, count) {
  const batch = 200;
  for (let done = 0; done < count; done += batch) {
    const some = Array.from({ length: Math.min(batch, count - done) }, () => connect(port));
    sockets.push(...(await Promise.all(some)));
  }
  for (const socket of sockets) socket.on('error', () => socket.destroy());
}

function frame(payload) {
  const bytes = Buffer.allocUnsafe(4 + payload.length);
  bytes.writeUInt32LE(payload.length);
  payload.copy(bytes, 4);
  return bytes;
}

/** Deterministic bytes, so that an echo can be compared. */
function pattern(length, seed) {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = (seed * 31 + i * 7) & 0xff;
  return bytes;
}

/** One package each way on every socket; resolves to the number of echoes that were right. */
async function echoAll(sizes) {
  const results = await Promise.all(
    sockets.map(
      (socket, index) =>
        new Promise((resolve) => {
          const expected = frame(pattern(sizes[index % sizes.length], index));
          let got = Buffer.alloc(0);
          const onData = (chunk) => {
            got = got.length === 0 ? chunk : Buffer.concat([got, chunk]);
            if (got.length < expected.length) return;
            socket.off('data', onData);
            resolve(got.equals(expected));
          };
          socket.on('data', onData);
          socket.once('close', () => resolve(false));
          socket.write(expected);
        }),
    ),
  );
  return results.filter(Boolean).length;
}

/** Connects and goes away at once, in every manner there is. */
async function storm(port, count) {
  await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const socket = await connect(port);
      socket.on('error', () => {});
      const closed = new Promise((resolve) => socket.once('close', resolve));
      if (index % 3 === 0) socket.write(frame(pattern(index % 500, index)));
      if (index % 7 === 0) socket.write(Buffer.from([9, 0])); // half a header
      socket.resetAndDestroy();
      await closed;
    }),
  );
}

/** Sends packages as fast as the server takes them, and waits until all were written. */
async function flood(port, packages, size) {
  const socket = await connect(port);
  for (let number = 0; number < packages; number++) {
    const payload = Buffer.alloc(size);
    payload.writeUInt32LE(number);
    if (!socket.write(frame(payload))) {
      await new Promise((resolve) => socket.once('drain', resolve));
    }
  }
  await new Promise((resolve) => socket.end(resolve));
}

const orders = {
  connect: ({ port, count }) => connectMany(port, count),
  echo: ({ sizes }) => echoAll(sizes),
  storm: ({ port, count }) => storm(port, count),
  flood: ({ port, packages, size }) => flood(port, packages, size),
  /** Reads nothing any more on the first `count` sockets. */
  deaf: ({ count }) => sockets.slice(0, count).forEach((socket) => socket.pause()),
  /** Bytes received in all on the others, since this was first asked. */
  listen: () => {
    sockets.forEach((socket, index) => {
      socket.seen = 0;
      if (!socket.isPaused() || index >= 1) {
        socket.on('data', (chunk) => (socket.seen += chunk.length));
      }
    });
  },
  seen: () => sockets.map((socket) => socket.seen),
  disconnect: async () => {
    const closing = sockets.map(
      (socket) => new Promise((resolve) => socket.once('close', resolve)),
    );
    sockets.forEach((socket) => socket.resetAndDestroy());
    sockets = [];
    await Promise.all(closing);
  },
};

process.on('message', async ({ order, ...details }) => {
  try {
    process.send({ result: await orders[order](details) });
  } catch (error) {
    process.send({ error: String(error) });
  }
});
