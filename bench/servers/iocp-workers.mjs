// Ours, with BENCH_WORKERS logical workers that process the packages: iocp-service.mjs. The main thread listens, and
// that is all it does.
import { Iocp } from 'iocp';

const server = new Iocp({
  ...JSON.parse(process.env.IOCP_OPTIONS ?? '{}'),
  jobs: new URL('iocp-service.mjs', import.meta.url),
  deliver: 'workers',
});
const { port } = await server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 });
await server.setWorkers(Number(process.env.BENCH_WORKERS ?? '2'));
console.log(`listening ${port}`);
