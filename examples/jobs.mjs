// A password service for nc or telnet: hashing a password takes a tenth of a second of a processor on purpose, so it is
// done by logical workers, and the thread that serves the connections stays free.
//   hash PASSWORD             answers with a salted scrypt hash
//   verify PASSWORD HASH      answers yes or no
//   chain ROUNDS TEXT         SHA-256 of SHA-256 of … TEXT
//   workers N                 resizes the pool, while it works
//   node examples/jobs.mjs [port]
import { Iocp } from 'iocp';

const server = new Iocp({
  framing: { type: 'delimiter', delimiter: '\n', maxLength: 4096 },
  jobs: new URL('jobs-worker.mjs', import.meta.url),
  workers: 2,
  maxQueuedJobs: 1000,
});

server.on('package', async (client, line) => {
  const [command, ...words] = line.toString().trimEnd().split(' ');
  try {
    if (command === 'workers') {
      await server.setWorkers(Number(words[0]));
      client.send(`${words[0]} workers`);
      return;
    }
    // Whoever waits too long is told so, and the job does not run for nobody.
    const answer = await server.addJob({ command, words }, { timeoutMs: 10_000 });
    client.send(answer);
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
