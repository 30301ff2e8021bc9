// The shortest honest echo server: packages come back as they came, and a peer that does not read is not read from.
//   node examples/echo-server.mjs [port]
import { Iocp } from 'iocp';

const server = new Iocp();
server.on('package', (client, payload) => {
  if (!client.send(payload)) client.pause();
});
server.on('drain', (client) => client.resume());

const { address, port } = await server.listen({
  port: Number(process.argv[2] ?? 0),
  host: '127.0.0.1',
});
console.log(`listening on ${address}:${port}`);

const stop = async () => {
  const report = await server.close();
  console.log('closed', report);
};
process.once('SIGINT', stop);
process.once('SIGTERM', stop);
