// The ES module face of `iocp/packages`.

export * from './packages.js';
