// Ours in bench/files.mjs: sends the file named on the command line to whoever connects, by the classic protocol.
import { Iocp } from 'iocp';

const server = new Iocp({ fileTransfer: { protocol: 'classic' } });
server.on('connection', (client) => void client.sendFile(process.argv[2], { check: 'none' }));
server.on('fileFailed', (_client, error) => {
  throw error;
});
const { port } = await server.listen({ port: 0, host: '127.0.0.1' });
console.log(`listening ${port}`);
