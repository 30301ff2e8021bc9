// Ours: every package goes to everybody, an empty one back to its sender alone.
import { Iocp } from 'iocp';

const server = new Iocp(JSON.parse(process.env.IOCP_OPTIONS ?? '{}'));
server.on('package', (client, payload) => {
  if (payload.length === 0) client.send(payload);
  else server.sendToAll(payload);
});
const { port } = await server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 });
console.log(`listening ${port}`);
