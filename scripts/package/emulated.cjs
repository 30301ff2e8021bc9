// Preloaded (`NODE_OPTIONS=--require`) into a Node.js that runs under an emulator: what it starts as itself, forks and
// programs alike, goes through IOCP_EMULATED_NODE, a program that starts the emulator, because the kernel cannot start
// a file of another processor's. Changes nothing else.
'use strict';

process.execPath = process.env.IOCP_EMULATED_NODE;
