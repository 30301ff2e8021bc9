// Ours, with default options: the same echo, the same back-pressure. IOCP_OPTIONS (JSON) overrides options, for
// comparing settings; maxConnections follows the scenario.
import { Iocp } from 'iocp';

import { handler } from './handler.mjs';

const overrides = JSON.parse(process.env.IOCP_OPTIONS ?? '{}');
const server = new Iocp({ ...overrides });
server.on('package', (client, payload) => {
  handler?.();
  if (!client.send(payload)) client.pause();
});
server.on('drain', (client) => client.resume());
const { port } = await server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 });
console.log(`listening ${port}`);
