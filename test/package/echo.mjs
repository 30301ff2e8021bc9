// A consumer of the published package, as an ES module: one package there and back. Prints "import: echo of …".
import { Iocp } from 'iocp';

const server = new Iocp();
server.on('package', (client, payload) => client.send(payload));
const { port } = await server.listen({ host: '127.0.0.1' });
const app = new Iocp();
const answer = new Promise((resolve) => app.once('package', (_peer, payload) => resolve(payload)));
const peer = await app.connect({ port });
peer.send('hello');
console.log(`import: echo of ${await answer}`);
await Promise.all([app.close(), server.close()]);
