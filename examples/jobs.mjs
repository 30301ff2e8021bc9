// A password service for nc or telnet: hashing a password takes a tenth of a second of a processor on purpose, so it is
// done by logical workers, and the thread that serves the connections stays free.
//   hash PASSWORD             answers with a salted scrypt hash
//   verify PASSWORD HASH      answers yes or no
//   chain ROUNDS TEXT         SHA-256 of SHA-256 of … TEXT
//   image WIDTH HEIGHT        draws the Mandelbrot set, and answers with the picture's 64-bit fingerprint: two jobs in a
//                             row, between which the pixels are moved, not copied
//   workers N                 resizes the pool, while it works
//   node examples/jobs.mjs [port]
import { Iocp } from 'iocp';

const server = new Iocp({
  framing: { type: 'delimiter', delimiter: '\n', maxLength: 4096 },
  jobs: new URL('jobs-worker.mjs', import.meta.url),
  workers: 2,
  maxQueuedJobs: 1000,
});

// Whoever waits too long is told so, and the job does not run for nobody.
const timeoutMs = 10_000;

async function answer(command, words) {
  if (command !== 'image') return server.addJob({ command, words }, { timeoutMs });
  const [width, height] = words.map(Number);
  const pixels = await server.addJob({ command: 'draw', width, height }, { timeoutMs });
  // What is begun comes before what is new: fewer pictures are in memory at a time.
  const options = { timeoutMs, priority: 1, transfer: [pixels.buffer] };
  return server.addJob({ command: 'fingerprint', width, height, pixels }, options);
}

server.on('package', async (client, line) => {
  const [command, ...words] = line.toString().trimEnd().split(' ');
  try {
    if (command === 'workers') {
      await server.setWorkers(Number(words[0]));
      client.send(`${words[0]} workers`);
      return;
    }
    client.send(await answer(command, words));
  } catch (error) {
    client.send(`error: ${error.message}`);
  }
});
server.on('error', (error) => console.error(error));

const { address, port } = await server.listen({
  port: Number(process.argv[2] ?? 0),
  host: '127.0.0.1',
});
console.log(`listening on ${address}:${port}`);

const stop = () => server.close();
process.once('SIGINT', stop);
process.once('SIGTERM', stop);
