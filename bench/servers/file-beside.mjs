// Ours in bench/files-beside.mjs: echoes packages that begin with 64, and to whoever says 65 it sends the file of the
// command line, over and over, by the classic protocol.
import { Iocp } from 'iocp';

const [file, ioWorkers] = process.argv.slice(2);
const [PING, GET] = [64, 65];

const server = new Iocp({
  ioWorkers: ioWorkers === 'auto' ? 'auto' : Number(ioWorkers),
  fileTransfer: { protocol: 'classic' },
});
server.on('package', async (client, payload) => {
  if (payload[0] === PING) client.send(payload);
  if (payload[0] !== GET) return;
  try {
    while (client.connected) await client.sendFile(file, { check: 'none' });
  } catch (error) {
    if (error.code !== 'ERR_IOCP_GONE') throw error;
  }
});
const { port } = await server.listen({ port: 0, host: '127.0.0.1' });
console.log(`listening ${port}`);
