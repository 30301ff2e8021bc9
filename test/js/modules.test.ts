// The package as a package: by require and by import, one instance, documented names only.

import { createRequire } from 'node:module';

import { describe, expect, it } from 'vitest';

import { engine, Iocp, IocpError, runFixture } from './support.js';

const require = createRequire(import.meta.url);

describe('the package', () => {
  it('is one instance for require and import', async () => {
    const { stdout, stderr } = await runFixture('modules.cjs');
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({
      names: ['ClientContext', 'Iocp', 'IocpError'],
      same: true,
      missing: [],
    });
  });

  it('keeps its inner modules to itself', () => {
    expect(() => require('iocp/dist/sender.js')).toThrow(/not defined by "exports"/);
  });

  it('has figures for everybody, before and after the start', async () => {
    const made = engine();
    const before = made.stats();
    await made.listen({ host: '127.0.0.1' });
    const after = made.stats();
    const shape = (value: unknown): unknown =>
      typeof value === 'object'
        ? Object.fromEntries(Object.entries(value as object).map(([key, one]) => [key, shape(one)]))
        : typeof value;
    expect(shape(before)).toEqual(shape(after));
    expect(JSON.stringify(shape(after))).not.toMatch(/string|undefined/);
  });

  it('makes errors that read well', () => {
    const error = new IocpError('EADDRINUSE', 'listen EADDRINUSE: address already in use', {
      syscall: 'listen',
      port: 5,
    });
    expect(String(error)).toBe('IocpError: listen EADDRINUSE: address already in use');
    expect(Object.keys(error).sort()).toEqual(['code', 'errno', 'port', 'syscall']);
    expect(error.stack).toContain('modules.test');
    expect(new IocpError('ERR_IOCP_GONE', 'gone')).not.toHaveProperty('errno');
    expect(Object.getOwnPropertyNames(Iocp.prototype)).not.toContain('undefined');
  });
});
