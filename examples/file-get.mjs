// Gets a file from examples/file-server.mjs, with a progress bar; --continue goes on with what an earlier try left.
// node examples/file-get.mjs <port> <name> [--continue] [--to directory]
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { Iocp } from 'iocp';
import { read } from 'iocp/packages';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { continue: { type: 'boolean', default: false }, to: { type: 'string', default: '.' } },
});
const [port, name = ''] = positionals;
const GET = 64; // as in file-server.mjs

// What arrives of a transfer that fails stays as name.part, and the next one goes on with it.
if (!values.continue) rmSync(join(values.to, `${name}.part`), { force: true });

const client = new Iocp({
  fileTransfer: { directory: values.to, autoAccept: true, onExists: 'overwrite' },
});

function bar({ bytesTransferred, size }) {
  const share = size === 0 ? 1 : bytesTransferred / size;
  const done = '#'.repeat(Math.round(share * 40)).padEnd(40, '.');
  process.stderr.write(`\r[${done}] ${Math.round(share * 100)} %`);
}

const outcome = new Promise((resolve, reject) => {
  client.on('fileProgress', (_server, transfer) => bar(transfer));
  client.on('fileCompleted', (_server, result) => resolve(result));
  client.on('fileFailed', (_server, error) => reject(error));
  client.on('package', (_server, payload) => reject(new Error(read(payload).text)));
  client.on('disconnect', (_server, reason) => reject(new Error(reason.message)));
});

try {
  const server = await client.connect({ port: Number(port) });
  server.send(Buffer.concat([Buffer.of(GET), Buffer.from(name)]));
  const result = await outcome;
  bar({ bytesTransferred: result.size, size: result.size });
  const from = result.resumedAt > 0 ? `, from byte ${result.resumedAt} on` : '';
  console.log(`\n${result.path}: ${result.size} bytes${from}, CRC-32C ${result.check?.value}`);
} catch (error) {
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}
await client.close();
