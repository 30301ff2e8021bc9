// What a TypeScript user writes; only compiled, under both ways of resolving modules.
import { once } from 'node:events';

import { type ClientContext, Iocp, type IocpOptions } from 'iocp';

const options: IocpOptions = {
  maxConnections: 10,
  framing: { type: 'delimiter', delimiter: '\n' },
};
const engine = new Iocp<{ name: string }>(options);
engine.on('package', (client: ClientContext<{ name: string }>, payload: Buffer) => {
  const accepted: boolean = client.send(payload);
  if (!accepted) client.pause();
});
engine.on('disconnect', (client, reason) => console.log(client.data?.name, reason.code));
const { port } = await engine.listen({ host: '127.0.0.1' });
await once(engine, 'connection');
// @ts-expect-error -- a port is a number
const wrong: string = port;
console.log(wrong);
