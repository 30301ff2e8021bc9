// Listening: addresses, families, paths, and every way in which it fails.

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { ClientContext } from 'iocp';
import { describe, expect, it } from 'vitest';

import {
  afterwards,
  engine,
  frame,
  next,
  packages,
  RawPeer,
  server,
  turns,
  until,
} from './support.js';

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'iocp-'));
  afterwards(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

const hasIpv6 = await new Promise<boolean>((resolve) => {
  const probe = net.createServer().once('error', () => resolve(false));
  probe.listen(0, '::1', () => probe.close(() => resolve(true)));
});

describe('listen', () => {
  it('resolves with the address, after the listening event', async () => {
    const made = engine();
    const listening = next<[net.AddressInfo]>(made, 'listening');
    const address = await made.listen({ host: '127.0.0.1' });
    expect(address).toEqual({ address: '127.0.0.1', family: 'IPv4', port: expect.any(Number) });
    expect(address.port).toBeGreaterThan(0);
    expect((await listening)[0]).toEqual(address);
    expect(made.addresses().bound).toEqual([address]);
    expect(made.addresses().host).toContain('127.0.0.1');
  });

  it.skipIf(!hasIpv6)('serves both families by default', async () => {
    const made = engine();
    const address = await made.listen();
    expect(address).toMatchObject({ address: '::', family: 'IPv6' });
    for (const [host, family] of [
      ['127.0.0.1', 'IPv4'],
      ['::1', 'IPv6'],
    ] as const) {
      const connected = next<[ClientContext]>(made, 'connection');
      await RawPeer.connect({ port: address.port, host });
      const [context] = await connected;
      expect(context.remoteAddress).toMatch(host === '::1' ? /^::1$/ : /^(::ffff:)?127\.0\.0\.1$/);
      expect(['IPv4', 'IPv6']).toContain(family);
    }
  });

  it.skipIf(!hasIpv6)('serves IPv6 alone when told so', async () => {
    const made = engine();
    const { port } = await made.listen({ host: '::', ipv6Only: true });
    await RawPeer.connect({ port, host: '::1' });
    const refused = new RawPeer(net.connect(port, '127.0.0.1'));
    await refused.when(() => refused.error !== undefined);
    expect(refused.error?.code).toBe('ECONNREFUSED');
  });

  it('serves several addresses at once', async () => {
    const made = engine();
    const one = await made.listen({ host: '127.0.0.1' });
    const two = await made.listen({ host: '127.0.0.2' });
    expect(made.addresses().bound).toEqual([one, two]);
    await RawPeer.connect({ port: one.port });
    await RawPeer.connect({ port: two.port, host: '127.0.0.2' });
    await until(() => made.connectionCount === 2);
  });

  it('resolves names', async () => {
    const made = engine();
    const { port, address } = await made.listen({ host: 'localhost' });
    await RawPeer.connect({ port, host: address });
    await until(() => made.connectionCount === 1);
  });

  it('serves a Unix-domain socket, and removes its path on close', async () => {
    const path = join(folder(), 'socket');
    const made = engine();
    const address = await made.listen({ path });
    expect(address).toEqual({ address: path, family: 'local', port: 0 });
    made.on('package', (context, payload) => context.send(payload));
    const connected = next<[ClientContext]>(made, 'connection');
    const peer = await RawPeer.connect({ path, host: undefined } as never);
    expect((await connected)[0]).toMatchObject({ remoteFamily: 'local' });
    await peer.write(frame('hello'));
    expect(await peer.bytes(9)).toEqual(frame('hello'));
    const client = engine();
    const answer = packages(client, 1);
    const context = await client.connect({ path });
    context.send('from an engine');
    expect((await answer).map(String)).toEqual(['from an engine']);
    expect(context.remoteFamily).toBe('local');
    await made.close({ graceMs: 0 });
    expect(existsSync(path)).toBe(false);
  });

  it('rejects with EADDRINUSE, and can listen elsewhere afterwards', async () => {
    const { port } = await server();
    const made = engine();
    const attempt = made.listen({ port, host: '127.0.0.1' });
    await expect(attempt).rejects.toMatchObject({
      name: 'IocpError',
      code: 'EADDRINUSE',
      syscall: 'listen',
      address: '127.0.0.1',
      port,
    });
    await made.listen({ host: '127.0.0.1' });
  });

  it.each([
    [{ host: '192.0.2.77' }, 'EADDRNOTAVAIL'],
    [{ path: '/does/not/exist' }, 'ENOENT'],
    [{ path: `/${'x'.repeat(200)}` }, 'ENAMETOOLONG'],
    [{ host: 'does-not-exist.invalid' }, /^(ENOTFOUND|EAI_AGAIN)$/],
  ])('rejects %o with %s', async (options, code) => {
    const attempt = engine().listen(options);
    await expect(attempt).rejects.toMatchObject({ code: expect.stringMatching(code) });
  });

  it('shares a port with reusePort', async () => {
    const one = engine();
    const { port } = await one.listen({ host: '127.0.0.1', reusePort: true });
    const two = engine();
    await two.listen({ host: '127.0.0.1', port, reusePort: true });
    for (let count = 1; count <= 20; count++) {
      await RawPeer.connect({ port });
      await until(() => one.connectionCount + two.connectionCount === count);
    }
  });

  it('accepts exclusive, as net.Server.listen does', async () => {
    await engine().listen({ host: '127.0.0.1', exclusive: true });
  });

  it('leaves peers in the backlog while accepting is paused', async () => {
    const { server: made, port } = await server();
    const connected = next<[ClientContext]>(made, 'connection');
    const first = await RawPeer.connect({ port });
    const [context] = await connected;
    made.pauseAccept();
    // Commands are run in order: when this has arrived, the pause is in force, whoever steps the engine.
    context.sendRaw('paused');
    await first.bytes('paused'.length);
    const peers = [await RawPeer.connect({ port }), await RawPeer.connect({ port })];
    await turns(10);
    expect(made.connectionCount).toBe(1);
    made.resumeAccept();
    await until(() => made.connectionCount === 3);
    expect(peers.every((peer) => !peer.closed)).toBe(true);
  });

  it('accepts nobody from the beginning when accepting was paused before', async () => {
    const made = engine();
    made.pauseAccept();
    const { port } = await made.listen({ host: '127.0.0.1' });
    const peer = await RawPeer.connect({ port });
    await turns(10);
    expect(made.connectionCount).toBe(0);
    made.resumeAccept();
    await until(() => made.connectionCount === 1);
    expect(peer.closed).toBe(false);
  });

  it('accepts at once when a pause was over before it began', async () => {
    const made = engine();
    made.pauseAccept();
    made.resumeAccept();
    const { port } = await made.listen({ host: '127.0.0.1' });
    await RawPeer.connect({ port });
    await until(() => made.connectionCount === 1);
  });
});
