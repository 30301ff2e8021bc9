// What really reaches Windows' socket functions, by Wine's own trace of them rather than by our counters, and whether
// our counters say the same.
import path from 'node:path';

import { root } from '../run.mjs';
import { nativeFolder } from './build.mjs';
import { nodeProgram, runWine, windowsPath } from './wine.mjs';

const LIMIT_MS = 60_000;
const TRANSMIT = 'transmit: the head and the range arrive byte for byte';
const KERNEL_APC = '0x20'; // TF_USE_KERNEL_APC

/** How often a function of the trace was called with arguments that match. */
function calls(text, name, pattern = /(?:)/) {
  const lines = text.matchAll(new RegExp(`trace:winsock:${name} (?!status)(.*)`, 'g'));
  return [...lines].filter((line) => pattern.test(line[1])).length;
}

const traced = (args, log) =>
  runWine(args, { log, limitMs: LIMIT_MS, env: { WINEDEBUG: '+winsock' } });

const OVERLAPPED = /overlapped 0*[1-9a-fA-F]/;
const AT_ONCE = /overlapped 0+,/;

/** An echo over the addon. Each line: what is claimed, what the trace has, and whether that is right. */
function echoClaims(major) {
  const script = windowsPath(path.join(root, 'test/windows/fixtures/echo.mjs'));
  const { text } = traced([nodeProgram(major), script, '200'], 'trace-echo');
  const told = /\{"echoed".*\}/.exec(text);
  if (told === null) {
    return [['an echo under trace ends and tells what it did', text.slice(-2000), false]];
  }
  const { server, client } = JSON.parse(told[0]).ports;
  const both = (figure) => server[figure] + client[figure];
  const accepts = calls(text, 'WS2_AcceptEx');
  const waiting = calls(text, 'WS2_recv_base', OVERLAPPED);
  const reading = calls(text, 'WS2_recv_base', AT_ONCE);
  const writes = calls(text, 'WS2_sendto', OVERLAPPED);
  return [
    ['AcceptEx is posted ahead of the peers', accepts, accepts > server.accepts],
    [
      'ConnectEx connects',
      calls(text, 'WS2_ConnectEx'),
      calls(text, 'WS2_ConnectEx') === client.connects,
    ],
    [
      'overlapped WSARecv waits, the zero-byte reads among them',
      waiting,
      waiting >= both('zeroByteReads') && both('zeroByteReads') > 0,
    ],
    [
      'every read that waits for nothing is counted',
      reading,
      reading + waiting - both('zeroByteReads') >= both('reads'),
    ],
    [
      'WSASend is overlapped, and every one is counted',
      writes,
      writes === both('writes') && writes > 0,
    ],
    ['several packages go out with one write', `${writes} for 400`, writes < 400 / 4],
  ];
}

function transmitClaims() {
  const program = path.join(nativeFolder, 'test_conformance_iocp.exe');
  const { text } = traced([program, '--filter', TRANSMIT], 'trace-transmit');
  const all = calls(text, 'WS2_TransmitFile');
  const flagged = calls(text, 'WS2_TransmitFile', new RegExp(`flags ${KERNEL_APC}$`));
  return [
    [
      'TransmitFile is called with TF_USE_KERNEL_APC',
      `${flagged} of ${all}`,
      all > 0 && flagged === all,
    ],
  ];
}

/** Checks every claim; returns how many hold and how many do not. */
export function traces(major) {
  const counted = { passed: 0, failed: 0 };
  for (const [claim, found, holds] of [...echoClaims(major), ...transmitClaims()]) {
    console.log(`${holds ? 'ok  ' : 'FAIL'} trace: ${claim} (${found})`);
    counted[holds ? 'passed' : 'failed'] += 1;
  }
  return counted;
}
