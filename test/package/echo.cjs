// A consumer of the published package, in CommonJS: one package there and back, too large for a slab. Prints
// "require: echo of … bytes".
'use strict';

const { Iocp } = require('iocp');

const server = new Iocp();
const app = new Iocp();
server.on('package', (client, payload) => client.send(payload));
app.once('package', async (_peer, payload) => {
  const whole = payload.every((byte) => byte === 7);
  console.log(whole ? `require: echo of ${payload.length} bytes` : 'require: wrong bytes');
  await Promise.all([app.close(), server.close()]);
});
server
  .listen({ host: '127.0.0.1' })
  .then(({ port }) => app.connect({ port }))
  .then((peer) => peer.send(Buffer.alloc(100_000, 7)));
