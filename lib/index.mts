// The ES module face of the same, single CommonJS instance.

export * from './index.js';
