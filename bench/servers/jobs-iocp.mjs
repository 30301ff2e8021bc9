// Jobs on this engine's logical workers.
import { Iocp } from 'iocp';

import { run, runQueued } from './jobs-load.mjs';

const workers = Number(process.argv[3]);
const pool = new Iocp({ jobs: new URL('jobs-work.mjs', import.meta.url), maxQueuedJobs: 2 ** 24 });
const start = () => pool.setWorkers(workers);
const add = (data) => pool.addJob(data);
await (process.argv[2] === 'queued' ? runQueued : run)(add, start);
