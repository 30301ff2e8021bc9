// The demo's client process: many connections of one Iocp, each with a few packages under way, every echoed byte
// compared with what was sent. It reports to the parent and must never exit with 0 unless everything came back.
import { Iocp } from 'iocp';

import { Histogram } from './histogram.mjs';
import { packages } from './pattern.mjs';

const { port, host, connections, outstanding, seed } = JSON.parse(process.argv[2]);
const connectsAtOnce = 64;

const packageOf = packages(seed);
const all = new Histogram();
const recent = new Histogram();
const totals = { connections: 0, packages: 0, bytes: 0 };
let stopping = false;
let inFlight = 0;
let allAnswered = () => {};

function fail(message) {
  process.send({ type: 'failed', message }, () => process.exit(1));
}

function sendNext(context) {
  const state = context.data;
  state.sentAt[state.sent % outstanding] = performance.now();
  context.send(packageOf(state.index, state.sent));
  state.sent += 1;
  inFlight += 1;
}

function receive(context, payload) {
  const state = context.data;
  if (state.received === state.sent) {
    fail(`connection ${state.index}: a package came back that was never sent`);
    return;
  }
  const expected = packageOf(state.index, state.received);
  if (!expected.equals(payload)) {
    fail(
      `connection ${state.index}, package ${state.received}: ` +
        `sent ${expected.length} bytes, got ${payload.length} bytes that differ`,
    );
    return;
  }
  const milliseconds = performance.now() - state.sentAt[state.received % outstanding];
  all.record(milliseconds);
  recent.record(milliseconds);
  state.received += 1;
  totals.packages += 1;
  totals.bytes += payload.length;
  inFlight -= 1;
  if (!stopping) sendNext(context);
  else if (inFlight === 0) allAnswered();
}

function report(type, histogram) {
  return {
    type,
    ...totals,
    p50: histogram.percentile(0.5),
    p99: histogram.percentile(0.99),
  };
}

const app = new Iocp();
app.on('package', receive);
app.on('disconnect', (context, reason) => {
  if (inFlight > 0 || !stopping) fail(`connection ${context.data.index} ended: ${reason.message}`);
});
app.on('error', (error) => fail(error.message));

async function connectAll() {
  let next = 0;
  const connectSome = async () => {
    while (next < connections && !stopping) {
      const data = { index: next, sent: 0, received: 0, sentAt: new Float64Array(outstanding) };
      next += 1;
      const context = await app.connect({ port, host, data });
      totals.connections += 1;
      for (let i = 0; i < outstanding; i += 1) sendNext(context);
    }
  };
  await Promise.all(Array.from({ length: connectsAtOnce }, connectSome));
}

const connected = connectAll();
connected.catch((error) => fail(`connect: ${error.message}`));
const ticker = setInterval(() => {
  process.send(report('progress', recent));
  recent.reset();
}, 250);

process.on('message', async () => {
  stopping = true;
  await connected;
  if (inFlight > 0) await new Promise((resolve) => (allAnswered = resolve));
  clearInterval(ticker);
  const { reset } = await app.close();
  process.send({ ...report('done', all), reset }, () => process.disconnect());
});
process.on('disconnect', () => process.exit());
